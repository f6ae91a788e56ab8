<?php
/*
 * The Symfony Messenger worker as people write it for messages of another system: a serializer that
 * decodes the event, a handler that posts it with Symfony's HTTP client, the bus and worker of the framework.
 * usage: php worker.php AMQP-URL QUEUE SINK-URL
 */

require '/usr/share/php/Symfony/Component/Messenger/autoload.php';
require '/usr/share/php/Symfony/Component/HttpClient/autoload.php';

use Symfony\Component\HttpClient\HttpClient;
use Symfony\Component\Messenger\Bridge\Amqp\Transport\AmqpTransport;
use Symfony\Component\Messenger\Bridge\Amqp\Transport\Connection;
use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Exception\MessageDecodingFailedException;
use Symfony\Component\Messenger\Handler\HandlersLocator;
use Symfony\Component\Messenger\MessageBus;
use Symfony\Component\Messenger\Middleware\HandleMessageMiddleware;
use Symfony\Component\Messenger\Transport\Serialization\SerializerInterface;
use Symfony\Component\Messenger\Worker;
use Symfony\Contracts\HttpClient\HttpClientInterface;

final class MoodleEvent
{
    public function __construct(public readonly array $data)
    {
    }
}

final class MoodleEventSerializer implements SerializerInterface
{
    public function decode(array $encodedEnvelope): Envelope
    {
        try {
            $data = json_decode($encodedEnvelope['body'], true, 32, JSON_THROW_ON_ERROR);
        } catch (JsonException $exception) {
            throw new MessageDecodingFailedException($exception->getMessage());
        }
        return new Envelope(new MoodleEvent($data));
    }

    public function encode(Envelope $envelope): array
    {
        return ['body' => json_encode($envelope->getMessage()->data)];
    }
}

final class Deliver
{
    public function __construct(private HttpClientInterface $client, private string $sink)
    {
    }

    public function __invoke(MoodleEvent $message): void
    {
        $event = $message->data;
        $response = $this->client->request('POST', $this->sink, ['json' => [
            'event' => $event['eventname'],
            'action' => $event['action'],
            'target' => $event['target'],
            'component' => $event['component'],
            'objectid' => $event['objectid'],
            'course' => $event['courseid'],
            'user' => $event['userid'],
            'relateduser' => $event['relateduserid'],
            'context' => $event['contextid'],
            'status' => $event['other']['submissionstatus'],
            'attempt' => $event['other']['submissionattempt'],
            'words' => $event['other']['onlinetextwordcount'],
            'time' => $event['timecreated'],
        ]]);
        if ($response->getStatusCode() !== 200) {
            throw new RuntimeException('the sink answered ' . $response->getStatusCode());
        }
    }
}

[, $broker, $queue, $sink] = $argv;
$connection = Connection::fromDsn($broker, ['auto_setup' => false, 'queues' => [$queue => []]]);
$transport = new AmqpTransport($connection, new MoodleEventSerializer());
$bus = new MessageBus([new HandleMessageMiddleware(new HandlersLocator([
    MoodleEvent::class => [new Deliver(HttpClient::create(), $sink)],
]))]);
(new Worker(['moodle' => $transport], $bus))->run(['sleep' => 1000]);

// The consumer a Node.js team would write with care: amqplib and undici, 64 requests at once over
// kept-alive connections, acks in batches. usage: node consumer.mjs AMQP-URL QUEUE SINK-URL
import amqp from 'amqplib';
import { Pool } from 'undici';

const AT_ONCE = 64;
const PREFETCH = 500;
const ACK_BATCH = 64;

const [broker, queue, sink] = process.argv.slice(2);
const { origin, pathname } = new URL(sink);
const pool = new Pool(origin, { connections: AT_ONCE });
const connection = await amqp.connect(broker);
const channel = await connection.createChannel();
await channel.prefetch(PREFETCH);

const waiting = [];
const finished = new Map(); // delivery tag -> message, of those that are not acked yet
let running = 0;
let settled = 0; // every tag up to here is finished
let acked = 0;
let last = null; // the message of tag `settled`

function payload(message) {
  const event = JSON.parse(message.content);
  return JSON.stringify({
    event: event.eventname,
    action: event.action,
    target: event.target,
    component: event.component,
    objectid: event.objectid,
    course: event.courseid,
    user: event.userid,
    relateduser: event.relateduserid,
    context: event.contextid,
    status: event.other.submissionstatus,
    attempt: event.other.submissionattempt,
    words: event.other.onlinetextwordcount,
    time: event.timecreated,
  });
}

async function send(message) {
  const { statusCode, body } = await pool.request({
    path: pathname,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: payload(message),
  });
  await body.dump();
  if (statusCode !== 200) {
    throw new Error(`the sink answered ${statusCode}`);
  }
}

function settle(message) {
  finished.set(message.fields.deliveryTag, message);
  while (finished.has(settled + 1)) {
    settled += 1;
    last = finished.get(settled);
    finished.delete(settled);
  }
  if (settled - acked >= ACK_BATCH || (running === 0 && settled > acked)) {
    channel.ack(last, true);
    acked = settled;
  }
}

function next() {
  while (running < AT_ONCE && waiting.length > 0) {
    const message = waiting.shift();
    running += 1;
    send(message).then(() => {
      running -= 1;
      next();
      settle(message);
    });
  }
}

process.once('SIGTERM', async () => {
  await connection.close();
  await pool.close();
});

await channel.consume(queue, (message) => {
  waiting.push(message);
  next();
});

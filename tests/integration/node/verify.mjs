// Verifies signed requests with the reference library: JSON lines {secret, headers, body} in, "ok" or what is wrong out.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
    const { secret, headers, body } = JSON.parse(line);
    try {
        new Webhook(secret).verify(body, headers);
        console.log("ok");
    } catch (error) {
        // It parses the body once the signature is good; forms and text are no JSON.
        console.log(error instanceof SyntaxError ? "ok" : `${error.name}: ${error.message}`);
    }
}

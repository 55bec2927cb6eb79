// Leaves before the answer is whole, but lives on: abort.mjs plain|stream
import { setTimeout } from "node:timers/promises";

import { client, hi, print } from "./client.mjs";

const controller = new AbortController();
const options = { signal: controller.signal };

async function stream() {
  for await (const chunk of await client.chat.completions.create({ ...hi, stream: true }, options)) {
    if (chunk.choices[0].delta.content) {
      controller.abort();
    }
  }
  return "ended"; // without an error: so the package has it
}

async function plain() {
  process.stdin.once("data", () => controller.abort());
  return client.chat.completions.create(hi, options).then(
    () => "answered",
    (error) => error.constructor.name,
  );
}

print(await { stream, plain }[process.argv[2]]());
await setTimeout(3000); // so that it is the abort that closes the connection, not the end of this process
process.exit();

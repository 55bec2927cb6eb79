import { client, print } from "./client.mjs";

const listed = [];
for await (const model of client.models.list()) {
  listed.push(model.id);
}
print({ listed, found: await client.models.retrieve("openclaw/beta") });

// The tool loop that the package runs by itself: run_tools.mjs plain|stream QUESTION
import { client, print } from "./client.mjs";

const [way, question] = process.argv.slice(2);
const weather = { Paris: "sunny", Rome: "rain" };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const get_weather = ({ city }) => weather[city];

const runner = client.chat.completions.runTools({
  model: "openclaw",
  stream: way === "stream",
  messages: [{ role: "user", content: question }],
  tools: [
    {
      type: "function",
      function: { function: get_weather, parse: JSON.parse, description: "The weather of a city.", parameters },
    },
  ],
});

print({ answer: await runner.finalContent(), usage: await runner.totalUsage() });

// Prints what the parser has to say of the AsyncAPI document on standard input: one JSON list of diagnostics.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
console.log(JSON.stringify({
  diagnostics: diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path })),
  messages: document?.allMessages().all().map((message) => message.id()) ?? [],
}));

// Runs modules in V8: JSON [{wasm: base64, arguments: [..]}] in, [[[outcome, notes], ..], ..] out.
import { readFileSync } from "node:fs";

function outcome(run, argument) {
  try {
    return run(argument);
  } catch (error) {
    if (error instanceof WebAssembly.Exception) return "uncaught";
    if (error instanceof WebAssembly.RuntimeError) return "trap";
    throw error;
  }
}

const modules = JSON.parse(readFileSync(0, "utf8"));
const answers = modules.map(({ wasm, arguments: given }) => {
  const notes = [];
  const module = new WebAssembly.Module(Buffer.from(wasm, "base64"));
  const instance = new WebAssembly.Instance(module, { env: { note: (n) => notes.push(n) } });
  return given.map((argument) => [outcome(instance.exports.run, argument), notes.splice(0)]);
});
process.stdout.write(JSON.stringify(answers));

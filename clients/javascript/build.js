/**
 * Makes the package in dist/: the sources, the page's own modules that they import, and the types of all of them, from
 * their JSDoc. Nothing is written twice: `npm run build`, or `npm pack`, which calls it.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const TYPES = join(HERE, "../../tools/page");
const DIST = join(HERE, "dist");
const ENTRIES = ["src/index.js", "src/react.js"];
const IMPORTED = /(from |import\()"(\.[^"]+)"/g;
const NAMESPACE = /^declare namespace/gm;

/** @type {Set<string>} paths of what is copied */
const copied = new Set();

/**
 * Copy a module and what it imports: in the package, all are in one folder.
 *
 * @param {string} path
 */
function copy(path) {
  if (copied.has(path)) return;
  copied.add(path);
  const text = readFileSync(path, "utf8").replace(IMPORTED, (_, keyword, specifier) => {
    copy(join(dirname(path), specifier));
    return `${keyword}"./${basename(specifier)}"`;
  });
  writeFileSync(join(DIST, basename(path)), text);
}

/** The types of what the server says, as a module: in the pages' own code they are global. */
function writeTypes() {
  const texts = ["wire.d.ts", "client.d.ts"].map((name) => readFileSync(join(TYPES, name), "utf8"));
  writeFileSync(join(DIST, "types.d.ts"), texts.join("\n").replaceAll(NAMESPACE, "export declare namespace"));
  for (const name of readdirSync(DIST).filter((each) => each.endsWith(".d.ts") && each !== "types.d.ts")) {
    const path = join(DIST, name);
    const text = readFileSync(path, "utf8");
    const used = ["Wire", "Client"].filter((space) => new RegExp(`\\b${space}\\.`).test(text));
    if (used.length > 0) writeFileSync(path, `import type { ${used.join(", ")} } from "./types.js";\n${text}`);
  }
}

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST);
copyFileSync(join(HERE, "../../LICENSE"), join(DIST, "LICENSE"));
for (const entry of ENTRIES) copy(join(HERE, entry));
const tsc = join(HERE, "node_modules/.bin/tsc");
execFileSync(tsc, ["--project", join(HERE, "tsconfig.build.json")], { stdio: "inherit" });
writeTypes();

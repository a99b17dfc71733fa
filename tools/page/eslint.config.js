/**
 * How the page's JavaScript is written: browsers load these modules as they are, so nothing may need a build step.
 * Run from the repository's root: `make check`.
 */

import js from "@eslint/js";
import stylistic from "@stylistic/eslint-plugin";
import { defineConfig } from "eslint/config";
import globals from "globals";

const PAGE = ["realtime/static/**/*.js", "clients/javascript/src/*.js"];
const CLASSIC = ["realtime/static/realtime/theme.js", "positions/static/**/*.js"]; // scripts that are no modules
const WORKER = ["realtime/templates/realtime/offline-worker.js"];
const NODE = ["tools/page/*.js", "tests/realtime/asyncapi/*.mjs", "clients/javascript/*.js"];

export default defineConfig([
  { ignores: ["**/node_modules/", "clients/javascript/dist/"] },
  {
    files: [...PAGE, ...CLASSIC, ...WORKER, ...NODE],
    extends: [js.configs.recommended],
    plugins: { stylistic },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { ecmaVersion: 2024, sourceType: "module" },
    rules: {
      "array-callback-return": "error",
      "consistent-return": "error",
      "default-case-last": "error",
      eqeqeq: "error",
      "no-console": "error",
      "no-constructor-return": "error",
      "no-eval": "error",
      "no-implicit-coercion": "error",
      "no-implicit-globals": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-promise-executor-return": "error",
      "no-self-compare": "error",
      "no-shadow": "error",
      "no-throw-literal": "error",
      "no-unmodified-loop-condition": "error",
      "no-unreachable-loop": "error",
      "no-unused-expressions": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-use-before-define": ["error", { functions: false, variables: false }],
      "no-useless-concat": "error",
      "no-useless-rename": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-promise-reject-errors": "error",
      "prefer-template": "error",
      radix: "error",
      "stylistic/max-len": ["error", { code: 120 }],
      "stylistic/semi": "error",
    },
  },
  {
    files: [...PAGE, ...CLASSIC],
    languageOptions: { globals: globals.browser },
    // Of `window`, and easily meant for a variable of one's own.
    rules: {
      "no-restricted-globals": ["error", "closed", "event", "length", "name", "parent", "self", "status", "top"],
    },
  },
  {
    files: CLASSIC,
    languageOptions: { sourceType: "script", globals: { SwaggerUIBundle: "readonly" } },
  },
  {
    files: WORKER,
    languageOptions: { sourceType: "script", globals: globals.serviceworker },
    rules: { "no-implicit-globals": "off" }, // a worker shares its scope with no other script
  },
  { files: NODE, languageOptions: { globals: globals.node }, rules: { "no-console": "off" } },
]);

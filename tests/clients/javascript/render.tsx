/** Renders the README's component as a server does: no effect runs, and there is no WebSocket. */

import { renderToString } from "react-dom/server";

import { App } from "./readme_app.js";

Reflect.deleteProperty(globalThis, "WebSocket"); // as in node 20, whichever node this is
console.log(renderToString(<App agentId="an-agent" token={() => Promise.reject(new Error("not asked"))} />));

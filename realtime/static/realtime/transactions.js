/**
 * The transactions of one position, each on a button that copies its id.
 */

import { byId, make } from "./dom.js";
import * as format from "./format.js";

/** @param {Wire.StoredPosition} position */
export function showTransactions({ purchaseTransactionId, dcaTransactionIds, takeProfitTransactionIds }) {
  const list = byId("details-transactions");
  const all = [
    { what: "Purchase", ids: purchaseTransactionId ? [purchaseTransactionId] : [] },
    { what: "Bought more", ids: dcaTransactionIds },
    { what: "Sale", ids: takeProfitTransactionIds },
  ].flatMap(({ what, ids }) => ids.map((id) => ({ what, id })));
  const key = all.map(({ what, id }) => `${what} ${id}`).join(" ");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...(all.length ? all.map(transaction) : [make("li", "", "No transactions are known.")]));
}

/** @param {{what: string, id: string}} transaction */
function transaction({ what, id }) {
  const short = format.shortAddress(id);
  const copy = make("button", "copy", short);
  copy.type = "button";
  copy.title = id;
  copy.setAttribute("aria-label", `Copy ${short}, the transaction id of: ${what.toLowerCase()}`);
  const li = make("li", "", `${what} `);
  li.append(copy);
  return li;
}

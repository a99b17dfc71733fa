"""What the page should show, worked out from the raw text of messages and REST answers alone.

By the rules of docs/protocol.md, with exact decimals, and with nothing of the project's own code: as somebody with a
pocket calculator and the browser's network log would.
"""

from __future__ import annotations

import json
import re
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

D = Decimal
PRECISION = 120
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
# Both what the page receives and when: answers of REST among the messages of the socket.
RECORD = """() => {
    window.raw = [];
    window.openSockets = [];
    const text = Response.prototype.text;
    Response.prototype.text = async function () {
        const body = await text.call(this);
        window.raw.push([new URL(this.url).pathname, body]);
        return body;
    };
    window.WebSocket = class extends WebSocket {
        constructor(...args) {
            super(...args);
            window.openSockets.push(this);
            this.addEventListener("message", ({ data }) => window.raw.push(["socket", data]));
        }
    };
}"""
# Every figure that is there, seen or not (the other currency's), with its title, which has all digits.
SHOWN = """() => {
    const figures = (root) => Object.fromEntries([...root.querySelectorAll("[data-cell]")].map((cell) =>
        [cell.dataset.cell, [cell.textContent, cell.title ?? "", cell.closest("[hidden]") === null]]));
    const rows = (selector, key) => Object.fromEntries(
        [...document.querySelectorAll(selector)].map((row) => [row.dataset[key] ?? "", figures(row)]));
    const facts = [...document.querySelectorAll("#details-facts dt")].map((term) =>
        [term.textContent, [term.nextElementSibling.textContent, term.nextElementSibling.title]]);
    return {
        raw: window.raw.splice(0),
        rows: rows("#rows tr", "positionId"),
        totals: figures(document.getElementById("totals")),
        drawer: document.getElementById("details").open ? figures(document.getElementById("details")) : null,
        facts: Object.fromEntries(facts),
        agents: rows("#overview-simulation tbody tr", "agentId"),
        sum: figures(document.querySelector("#overview-simulation tfoot")),
    };
}"""


def rounded(number: Decimal, places: int) -> Decimal:
    return number.quantize(D(1).scaleb(-places), ROUND_HALF_EVEN)


def times(number: Decimal | None, rate: Decimal | None) -> Decimal | None:
    return None if number is None or rate is None else rounded(number * rate, 6)


def ratio(part: Decimal, whole: Decimal) -> Decimal:
    return rounded(part / whole * 100, 6) if whole else D(0)


def added(parts: list[Decimal | None]) -> Decimal | None:
    known = [part for part in parts if part is not None]
    return sum(known, D(0)) if len(known) == len(parts) else None


class Held:
    """A position: what its last message said, and the prices since."""

    def __init__(self, sent: dict[str, Any]) -> None:
        self.sent = sent
        self.h, self.c = D(sent["remainingAmount"]), D(sent["purchasePrice"])
        self.invested, self.realised = D(sent["totalInvestedSol"]), D(sent["realizedProfitSol"])
        self.price, self.status = D(sent["currentPrice"]), sent["priceStatus"]
        self.price_usd = sent["currentPriceUsd"]
        self.peak, self.lowest, self.exit = sent["peakPrice"], sent["lowestPrice"], sent["exitValueSol"]
        if sent["priceSource"] == "live" and self.price:
            self.rate = None if self.price_usd is None else self.price_usd / self.price
        else:
            self.rate = None if sent["purchasePriceUsd"] is None else sent["purchasePriceUsd"] / self.c
        self.check_sent()

    def check_sent(self) -> None:
        """What the server has worked out itself is the same."""
        for name, figure in {
            "positionValueSol": self.value,
            "profitLossSol": self.profit,
            "profitLossPercent": self.percent,
            "positionValueUsd": times(self.price * self.h, self.rate),
            "profitLossUsd": times(self.exact_profit, self.rate),
        }.items():
            assert self.sent[name] == figure, (name, self.sent[name], figure)

    def reprice(
        self, price: Decimal, usd: Decimal | None, status: str | None, pool: list[Decimal | None] | None
    ) -> None:
        """Take an update. `pool`: the reserves, null where they are no longer known; None where none were ever told."""
        before = (self.price, self.status)
        self.status = status or ("live" if self.status in ("stale", "none") else self.status)
        self.price, self.price_usd = price, usd
        if price:
            self.rate = None if usd is None else usd / price
        if self.status == "live" and before != (price, "live"):
            self.peak, self.lowest = max(self.peak or price, price), min(self.lowest or price, price)
        if self.status == "gone":
            self.exit = D(0)
        elif pool:
            tokens, sol = pool
            self.exit = (
                None if tokens is None or sol is None else rounded(sol * self.h / (tokens + self.h), 9)
            )

    @property
    def exact_profit(self) -> Decimal:
        return self.realised + (self.price - self.c) * self.h

    @property
    def value(self) -> Decimal:
        return rounded(self.price * self.h, 9)

    @property
    def profit(self) -> Decimal:
        return rounded(self.exact_profit, 9)

    @property
    def percent(self) -> Decimal:
        return ratio(self.exact_profit, self.invested)

    @property
    def stop(self) -> Decimal | None:
        share = self.sent["currentStopLossPercentage"]
        return None if share is None else self.c * (100 + share) / 100

    @property
    def cost_profit(self) -> Decimal | None:
        cost, realised = self.sent["costUsd"], self.sent["realizedProfitUsd"]
        if cost is None or realised is None or self.rate is None:
            return None
        return rounded(self.price * self.h * self.rate - cost + realised, 6)

    def cells(self) -> dict[str, Any]:
        is_known = self.price_usd is not None and self.status != "none"
        away = None
        if self.stop is not None and self.price and self.status == "live":
            away = (self.price - self.stop) / self.price * 100
        shown = {
            "amount": self.h,
            "average": self.c,
            "average-usd": None if self.rate is None else self.c * self.rate,
            "price": self.price,
            "price-usd": self.price_usd if is_known else None,
            "value": self.value,
            "value-usd": times(self.price * self.h, self.rate),
            "profit": self.profit,
            "profit-usd": times(self.exact_profit, self.rate),
            "return": self.percent,
            "change": ratio(self.price - self.c, self.c),
            "stop": (self.sent["currentStopLossPercentage"], self.stop),
            "stop-distance": "reached" if away is not None and away <= 0 else away,
        }
        if self.exit is not None and self.exit < self.value * D("0.9"):
            shown["exit"] = self.exit
            shown["exit-usd"] = times(self.exit, self.rate)
        return shown

    def facts(self) -> dict[str, Any]:
        return {
            "Average price": self.c,
            "Invested": self.invested,
            "Realised": self.realised,
            "Peak price": self.peak,
            "Lowest price": self.lowest,
            "Exit value": self.exit,
            "Profit at cost in USD": self.cost_profit,
        }


class Ledger:
    """Everything that was received so far."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.keys: dict[int, str] = {}
        self.pools: dict[str, list[Decimal | None]] = {}
        self.results: dict[str, Any] = {}
        self.prices: dict[str, Any] = {}
        self.overview: dict[str, Any] = {}
        self.overviews = 0
        self.messages = 0

    def take(self, raw: list[list[str]]) -> None:
        with localcontext(prec=PRECISION):
            self._take(raw)

    def _take(self, raw: list[list[str]]) -> None:
        for where, text in raw:
            if where == "socket":
                self.messages += 1
                self._message(json.loads(text, parse_float=D, parse_int=D))
            elif where == "/api/overview/":
                self.overviews += 1
                self.overview = json.loads(text, parse_float=D, parse_int=D)
            elif where == "/api/prices/":
                self.prices = json.loads(text, parse_float=D, parse_int=D)
            elif where.endswith("/results/"):
                self.results = json.loads(text, parse_float=D, parse_int=D)

    def _message(self, message: dict[str, Any]) -> None:
        if message["type"] == "initial_data":
            self.held, self.pools = {}, {}
            for position in message["data"]["positions"]:
                self._put(position)
        elif message["type"] == "position_update":
            if "position" in message["data"]:
                self._put(message["data"]["position"])
            else:
                del self.held[message["data"]["positionId"]]
        elif message["type"] == "prices":
            for key, price, usd, *more in message["u"]:
                token = self.keys[int(key)]
                status, pool = (more[0] if more else None), more[1:]
                if pool:
                    self.pools[token] = pool
                for held in self.held.values():
                    if held.sent["tokenAddress"] == token:
                        held.reprice(price, usd, status, self.pools.get(token) if pool or status else None)

    def _put(self, position: dict[str, Any]) -> None:
        self.keys[int(position["priceKey"])] = position["tokenAddress"]
        self.held[position["id"]] = Held(position)

    def totals(self) -> dict[str, Any]:
        held, rate = list(self.held.values()), self.prices["solPriceUsd"]
        (closed,) = [mode for mode in self.results["modes"] if mode["mode"] == "simulation"]
        value = sum((each.value for each in held), D(0))
        total = sum((each.profit for each in held), closed["closedProfitSol"])
        invested = sum((each.invested for each in held), closed["closedInvestedSol"])
        realised = sum((each.realised for each in held), closed["closedProfitSol"])
        today = closed["today"]
        total_usd = added([times(each.exact_profit, each.rate) for each in held])
        if closed["closedPositions"]:
            total_usd = added([total_usd, times(closed["closedProfitSol"], rate)])
        now = sum((each.profit for each in held), today["closedProfitSol"])
        today_sol = None if today["startProfitSol"] is None else now - today["startProfitSol"]
        return {
            "value": value,
            "value-usd": added([times(each.price * each.h, each.rate) for each in held]),
            "unrealised": sum((rounded((each.price - each.c) * each.h, 9) for each in held), D(0)),
            "unrealised-usd": added([times((each.price - each.c) * each.h, each.rate) for each in held]),
            "realised": realised,
            "realised-usd": times(realised, rate),
            "profit": total,
            "profit-usd": total_usd,
            "return": ratio(total, invested),
            "today": today_sol,
            "today-usd": times(today_sol, rate),
            "count": D(len(held)),
        }

    def agents(self) -> dict[str, dict[str, Any]]:
        """Of simulated money, and the sum of all under ""."""
        rate, found = self.overview["solPriceUsd"], {}
        all_modes = []
        for agent in self.overview["agents"]:
            (mode,) = agent["modes"]
            all_modes.append(mode)
            found[agent["id"]] = self._overview_row([mode], rate)
        found[""] = self._overview_row(all_modes, rate)
        return found

    def _overview_row(self, modes: list[dict[str, Any]], rate: Decimal | None) -> dict[str, Any]:
        names = {"value": "positionValueSol", "profit": "profitLossSol", "today": "todaySol"}
        row: dict[str, Any] = {name: added([mode[field] for mode in modes]) for name, field in names.items()}
        row |= {f"{name}-usd": times(row[name], rate) for name in names}
        row["return"] = ratio(row["profit"], sum((mode["investedSol"] for mode in modes), D(0)))
        row["count"] = sum((mode["openPositions"] for mode in modes), D(0))
        return row


def difference(name: str, figure: Any, text: str, title: str) -> str | None:
    """Return what is wrong with a figure that is shown as this text, with this title; None where nothing is."""
    if isinstance(figure, tuple):  # the title is of another one
        in_text, in_title = figure
        digits = "" if in_title is None else f"Sells at {rounded(in_title, 30).normalize():f} SOL"
        return (
            difference(name, in_text, text, "") if title == digits else f"{name}: {title!r}, not {digits!r}"
        )
    if isinstance(figure, str):
        return None if text == figure else f"{name}: {text!r}, not {figure!r}"
    if figure is None:
        return None if "—" in text or text == "" else f"{name}: {text!r}, not unknown"
    exact = re.search(r"-?\d+(?:\.\d+)?(?= SOL| USD|%|$)", title)
    if exact and D(exact[0]) != rounded(figure, 30):
        return f"{name}: {title!r}, not {figure}"
    number = re.search(r"[−+$]*\d[\d,]*(?:\.\d*[₀-₉]*\d*)?", text)  # noqa: RUF001
    if number is None:
        return f"{name}: {text!r} has no number"
    plain = re.sub(r"[+$,]", "", number[0]).replace("−", "-")  # noqa: RUF001
    plain = re.sub(r"0([₀-₉]+)", lambda zeros: "0" * int(zeros[1].translate(SUBSCRIPTS)), plain)
    step = D(1).scaleb(-len(plain.partition(".")[2]))
    if D(plain) != figure.quantize(step, ROUND_HALF_EVEN):
        return f"{name}: {text!r} is {plain}, not {figure}"
    return None


def differences(ledger: Ledger, shown: dict[str, Any]) -> list[str]:
    """Return every figure that is shown and is not what the messages lead to."""
    found: list[str | None] = []
    with localcontext(prec=PRECISION):
        if shown["agents"]:
            for agent, row in ledger.agents().items():
                cells = shown["agents"][agent] if agent else shown["sum"]
                found += [
                    difference(f"{agent} {name}", figure, *cells[name][:2]) for name, figure in row.items()
                ]
            return [each for each in found if each]
        if not ledger.results or not ledger.prices:
            return ["results and prices were not read yet"]
        if shown["rows"].keys() != ledger.held.keys():
            return [f"rows of {list(shown['rows'])}, not of {list(ledger.held)}"]
        for key, held in ledger.held.items():
            cells, expected = shown["rows"][key], held.cells()
            name = held.sent["tokenSymbol"]
            found += [
                difference(f"{name} {cell}", figure, *cells[cell][:2]) for cell, figure in expected.items()
            ]
            found += [None if cells["exit"][2] is ("exit" in expected) else f"{name} exit: shown or not"]
        totals = ledger.totals()
        found += [
            difference(f"total {name}", figure, *shown["totals"][name][:2]) for name, figure in totals.items()
        ]
        if shown["drawer"] is not None:
            held = next(each for each in ledger.held.values() if each.sent["tokenSymbol"] == "BONK")
            of_row = held.cells()
            for name in ("value", "value-usd", "return"):
                found.append(difference(f"drawer {name}", of_row[name], *shown["drawer"][name][:2]))
            for name, figure in held.facts().items():
                found.append(difference(f"drawer {name}", figure, *shown["facts"][name]))
    return [each for each in found if each]

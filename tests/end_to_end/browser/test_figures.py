"""The page's figures follow the rules of docs/protocol.md, to the digit."""

# ruff: noqa: RUF001  the page writes a real minus sign: screen readers skip a hyphen

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from positions import services
from positions.books.cells import cell
from positions.books.trades import Side
from positions.models import Position, Wallet
from tests.end_to_end.browser.conftest import Backstage, buy, new_token
from tests.end_to_end.browser.windows import Window
from tests.live import ROOT

VECTORS = json.loads((ROOT / "tests" / "accounting_vectors.json").read_text())
OF_VALUES = [vector for vector in VECTORS if "positionValueSol" in vector["expected"]]
OF_COST = [vector for vector in VECTORS if "profitLossUsdAtCost" in vector["expected"]]
OF_EXITS = [vector for vector in VECTORS if "exitValueSol" in vector["expected"]]


def test_position_without_a_price_shows_its_cost_and_says_so(window: Window, bonk: Position) -> None:
    window.log_in()
    window.expect_row(
        bonk,
        symbol="BONK",
        amount="1,000,000",
        average="0.0₅20000",
        average_usd="—",
        price="0.0₅20000",
        price_usd="—",
        value="2.0000",
        value_usd="—",
        profit="0.0000",
        profit_usd="—",
        stop="−20%",
        stop_distance="",
        **{"return": "0.00%"},
    )
    expect(window.row(bonk).get_by_test_id("return")).to_have_attribute("data-direction", "")
    expect(window.row(bonk).get_by_test_id("price-status")).to_have_text("no price")
    expect(window.row(bonk).get_by_test_id("stop")).to_have_attribute("title", "Sells at 0.0000016 SOL")
    expect(window.row(bonk).get_by_test_id("address")).to_have_attribute("title", bonk.token_address)


def test_price_changes_price_value_and_profit(window: Window, bonk: Position, feed: Backstage) -> None:
    window.log_in()
    window.expect_row(bonk, value="2.0000")
    feed.quote(bonk, "0.0000025", "0.0005")  # SOL is at 200 USD
    window.expect_row(
        bonk,
        price="0.0₅25000",
        price_usd="$0.0005000",
        average_usd="$0.0004000",
        stop_distance="36.00% away",
        value="2.5000",
        value_usd="$500.00",
        profit="+0.5000",
        profit_usd="+$100.00",
        change="price +25.00%",
        **{"return": "+25.00%"},
    )
    row = window.row(bonk)
    expect(row.get_by_test_id("price-status")).to_be_hidden()
    expect(row.get_by_test_id("profit")).to_have_attribute("data-direction", "up")
    expect(row.get_by_test_id("price")).to_have_attribute("data-flash", "up")
    feed.quote(bonk, "0.000001999999", None)
    window.expect_row(
        bonk,
        price="0.0₅20000",
        price_usd="—",
        average_usd="—",
        value="2.0000",
        value_usd="—",
        profit="−0.000001",
        profit_usd="—",
        **{"return": "0.00%"},
    )
    expect(row.get_by_test_id("profit")).to_have_attribute("data-direction", "down")
    expect(row.get_by_test_id("profit")).to_have_attribute("title", "-0.000001 SOL")
    expect(row.get_by_test_id("price")).to_have_attribute("title", "0.000001999999 SOL")
    expect(row.get_by_test_id("price")).to_have_attribute("data-flash", "down")


def test_figures_of_a_tick_are_those_of_the_next_snapshot(
    window: Window, wallet: Wallet, feed: Backstage
) -> None:
    """The same rules on both sides: a reload, which asks the server, changes no figure."""
    position = buy(
        wallet, "ODD", tokens="123456.789012345678901234", spent_sol="3.333333333", stop_loss="-12.5"
    )
    services.take_profit(
        position_id=position.pk, tokens=Decimal("456.000000000000000007"), proceeds_sol=Decimal("0.02")
    )
    window.log_in()
    window.expect_state("live")
    feed.quote(position, "0.000031415926535897", "0.007")
    row = window.row(position)
    window.expect_row(position, price="0.0₄31416", wallet="A1ph…1111 simulated")
    figures = (
        "(row) => [...row.querySelectorAll('[data-cell]')].map((cell) => [cell.textContent, cell.title])"
    )
    ticked = row.evaluate(figures)
    window.page.reload()
    window.expect_row(position, price="0.0₄31416", wallet="A1ph…1111 simulated")
    assert row.evaluate(figures) == ticked


def test_totals_add_up_and_are_unknown_in_usd_where_a_part_is(
    window: Window, wallet: Wallet, bonk: Position, feed: Backstage
) -> None:
    wif = buy(wallet, "WIF", tokens="100", spent_sol="2")
    window.log_in()
    window.expect_totals(count="2 positions", value="4.0000", profit="0.0000", value_usd="—")
    feed.quote(bonk, "0.000003", "0.0006")
    window.expect_totals(
        value="5.0000", value_usd="—", profit="+1.0000", profit_usd="—", **{"return": "+25.00%"}
    )
    feed.quote(wif, "0.005", "1")
    window.expect_totals(
        value="3.5000", value_usd="$700.00", profit="−0.5000", profit_usd="−$100.00", **{"return": "−12.50%"}
    )


def test_large_sums_fit_where_they_are_in_large_type(window: Window, wallet: Wallet) -> None:
    """And the price of SOL in SOL, which never moves, is a line in the middle of its chart."""
    position = services.open_position(
        wallet=wallet,
        token_address="So11111111111111111111111111111111111111112",
        token_symbol="SOL",
        tokens=Decimal(1_000_000_000),
        spent_sol=Decimal(1_000_000_000),
    )
    window.log_in()
    window.expect_totals(value="1B")
    expect(window.by_id("totals").get_by_test_id("value")).to_have_attribute("title", "1000000000 SOL")
    window.expect_row(position, value="1,000,000,000.0000")
    cut = """() => {
        const right = (element) => element.getBoundingClientRect().right;
        return [...document.querySelectorAll("#totals .figure > span, #rows .pair > span")]
            .filter((cell) => right(cell) > right(cell.parentElement.parentElement) + 5)
            .map((cell) => cell.dataset.cell);
    }"""
    assert window.page.evaluate(cut) == []
    window.row(position).get_by_test_id("symbol").click()
    expect(window.by_id("details")).to_be_visible()
    drawn = "() => [...document.querySelectorAll('path')].map((path) => path.getAttribute('d')).join(' ')"
    assert "NaN" not in window.page.evaluate(drawn)


def test_figures_of_rest_are_added_only_to_positions_of_the_same_moment(script_page) -> None:
    """Results of event 5, whatever the socket has reached; and today, until midnight in UTC."""
    told = script_page.evaluate(
        """async () => {
            const { Results } = await import("/static/realtime/results.js");
            const date = "2026-01-31";
            const today = { date, since: `${date}T00:00:05Z`, startProfitSol: "2", closedProfitSol: "1" };
            const closed = { mode: "live", closedPositions: 2, closedProfitSol: "3", closedInvestedSol: "4", today };
            const open = { count: 1, profitLossSol: "1.5", profitLossUsd: null, realizedSol: "0.5", investedSol: "1" };
            const results = new Results();
            const noon = Date.parse("2026-01-31T12:00:00Z");
            const at = (seq, membersSeq, now = noon) => {
                const { realised, total, today } = results.earned({ seq, membersSeq }, "live", open, now);
                return [realised, total, today];
            };
            const told = { unread: at(4, 4) };
            results.take({ eventSeq: 5, modes: [closed] });
            told.early = at(4, 4);
            told.same = at(5, 5);
            told.traded = at(7, 5);
            told.closing = at(8, 8, noon + 2999);
            told.tooLong = at(8, 8, noon + 3001);
            told.midnight = at(7, 5, Date.parse("2026-02-01T00:00:00Z"));
            return told;
        }"""
    )
    known = ["3.5", "4.5", "0.5"]
    assert told == {
        "unread": [None, None, None],
        "early": [None, None, None],
        "same": known,
        "traded": known,
        "closing": known,
        "tooLong": [None, None, None],
        "midnight": ["3.5", "4.5", None],
    }


@pytest.mark.parametrize("vector", OF_EXITS, ids=lambda vector: vector["name"])
def test_exit_value_in_the_browser_agrees_with_the_server(script_page, vector) -> None:
    sold = script_page.evaluate(
        """async ({folder, inputs}) => {
            const { exitValue } = await import(`${folder}/accounting.js`);
            const { Decimal } = await import(`${folder}/decimal.js`);
            const decimal = (digits) => digits === null ? null : Decimal.of(digits);
            const tokens = Decimal.of(inputs.remainingAmount);
            const sold = exitValue(tokens, inputs.priceStatus, decimal(inputs.poolTokens), decimal(inputs.poolSol));
            return sold === null ? null : String(sold);
        }""",
        {"folder": "/static/realtime", "inputs": vector["inputs"]},
    )
    assert {"exitValueSol": sold} == vector["expected"]


@pytest.mark.parametrize("vector", OF_COST, ids=lambda vector: vector["name"])
def test_profit_at_cost_in_the_browser_agrees_with_the_server(script_page, vector) -> None:
    profit = script_page.evaluate(
        """async ({folder, inputs}) => {
            const { profitUsdAtCost, solInUsd } = await import(`${folder}/accounting.js`);
            const { Decimal } = await import(`${folder}/decimal.js`);
            const decimal = (digits) => digits === null ? null : Decimal.of(digits);
            const [tokens, price, cost, realized] =
                [inputs.remainingAmount, inputs.price, inputs.costUsd, inputs.realizedProfitUsd].map(decimal);
            const profit = profitUsdAtCost(tokens, price, solInUsd(price, inputs.priceUsd), cost, realized);
            return profit === null ? null : String(profit);
        }""",
        {"folder": "/static/realtime", "inputs": vector["inputs"]},
    )
    assert {"profitLossUsdAtCost": profit} == vector["expected"]


@pytest.mark.parametrize("vector", OF_VALUES, ids=lambda vector: vector["name"])
def test_accounting_in_the_browser_agrees_with_the_server(script_page, vector) -> None:
    inputs = vector["inputs"]
    valued = script_page.evaluate(
        """async ({module, inputs}) => {
            const { value } = await import(module);
            return value(inputs, inputs.price, inputs.priceUsd);
        }""",
        {"module": "/static/realtime/accounting.js", "inputs": inputs},
    )
    assert valued == vector["expected"]


def test_what_was_given_for_nothing_is_in_usd_where_that_is_chosen(
    window: Window, wallet: Wallet, feed: Backstage
) -> None:
    """An average price of 0 says nothing of what SOL costs."""
    gifts = [
        services.open_position(
            wallet=wallet,
            token_address=new_token(),
            token_symbol=symbol,
            tokens=Decimal(1000),
            spent_sol=Decimal(0),
            side=Side.AIRDROP,
        )
        for symbol in ("GIFT", "DUST")
    ]
    feed.report(sol_usd=Decimal(200))
    feed.quote(gifts[0], "0.002", "0.4")
    window.log_in()
    expect(window.by_id("sol-price")).to_have_text("1 SOL = $200.00")
    window.page.get_by_text("USD", exact=True).first.click()
    facts, profit = window.by_id("details-facts"), window.by_id("details-profit")
    window.row(gifts[0]).get_by_test_id("symbol").click()
    expect(facts).to_contain_text("Average price$0.00Current price$0.4000")
    expect(facts).to_contain_text("Invested$0.00Realised$0.00")
    expect(profit).to_have_text("+$400.00")
    window.close_details()
    window.row(gifts[1]).get_by_test_id("symbol").click()
    expect(facts).to_contain_text("Average price$0.00Current price—")
    expect(profit).to_have_text("$0.00")


SUMS = """async (seed) => {
    const { Store } = await import("/static/realtime/store.js");
    const { solInUsd, value } = await import("/static/realtime/accounting.js");
    const { Decimal, ZERO } = await import("/static/realtime/decimal.js");
    const chance = () => {  // mulberry32
        let t = (seed += 0x6d2b79f5);
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    const one = (list) => list[Math.floor(chance() * list.length)];
    const digits = (most, decimals) => String(new Decimal(BigInt(1 + Math.floor(chance() * 10 ** most)), decimals));
    // Sizes that wallets have, very small and large ones, and products in the middle between two lamports.
    const amount = () => one([[9, 3], [15, 18], [15, 0]].map((size) => digits(...size)).concat("5", "0.5", "25"));
    const price = () => one([[9, 12], [15, 30], [15, 9]].map((size) => digits(...size)).concat("0.0000000001"));
    const timestamp = "2026-01-31T12:00:00.000Z";
    const positions = Array.from({ length: 40 }, (_, n) => ({
        id: `P${n}`, tokenAddress: `T${n}`, walletAddress: "W", purchasePrice: price(), remainingAmount: amount(),
        totalInvestedSol: digits(12, 9), realizedProfitSol: one(["", "-"]) + digits(12, 9), peakPrice: null,
        lowestPrice: null, currentPrice: "1", currentPriceUsd: "1", priceSource: "live", priceStatus: "live",
        purchasePriceUsd: "1", positionValueSol: "1", positionValueUsd: "1", profitLossSol: "1", profitLossUsd: "1",
    }));
    const store = new Store();
    store.replace({ positions, timestamp, seq: 1 });
    const sum = (list) => list.reduce((total, each) => (
        total === null || each === null ? null : total.plus(Decimal.of(each))), ZERO);
    const found = [], exact = [];
    for (let round = 0; round < 25; round += 1) {
        const updates = positions.map(({ tokenAddress }, n) => (
            { tokenAddress, price: price(), priceUsd: round % 5 === 4 && n === round ? null : price() }));
        store.reprice({ updates, timestamp });
        const { count, profitLossPercent, ...totals } = store.totals();
        found.push(totals);
        const all = updates.map(({ price, priceUsd }, n) => {
            const { purchasePrice, remainingAmount, totalInvestedSol, realizedProfitSol } = positions[n];
            const rate = solInUsd(price, priceUsd);
            const unrealized = Decimal.of(price).minus(Decimal.of(purchasePrice)).times(Decimal.of(remainingAmount));
            return {
                ...value(positions[n], price, priceUsd),
                investedSol: totalInvestedSol,
                realizedSol: realizedProfitSol,
                unrealizedSol: unrealized.rounded(9),
                unrealizedUsd: rate && unrealized.times(rate).rounded(6),
            };
        });
        const names = Object.keys(totals);
        const digitsOf = (total) => total && String(total);
        exact.push(Object.fromEntries(names.map((name) => [name, digitsOf(sum(all.map((each) => each[name])))])));
    }
    return [found, exact];
}"""


@pytest.mark.parametrize("seed", range(4))
def test_totals_are_to_the_digit_the_sum_of_what_each_position_is_worth(script_page, seed: int) -> None:
    found, exact = script_page.evaluate(SUMS, seed)
    assert found == exact
    assert [each["positionValueUsd"] is None for each in found] == [n % 5 == 4 for n in range(25)]


@pytest.mark.parametrize(
    ("peak", "lowest", "price", "expected"),
    [
        ("2", "0.5", "1", ["2", "0.5"]),
        ("9", "0.5", "10", ["10", "0.5"]),
        ("9", "0.000000000000000002", "0.000000000000000001", ["9", "0.000000000000000001"]),
        (None, None, "1", ["1", "1"]),
    ],
)
def test_extremes_in_the_browser_follow_the_price(script_page, peak, lowest, price, expected) -> None:
    found = script_page.evaluate(
        """async ([peakPrice, lowestPrice, price]) => {
            const { extremes } = await import("/static/realtime/accounting.js");
            const found = extremes({ peakPrice, lowestPrice }, price);
            return [found.peakPrice, found.lowestPrice];
        }""",
        [peak, lowest, price],
    )
    assert found == expected


@pytest.mark.parametrize(
    ("function", "digits", "shown"),
    [
        ("price", "0.0000001234", "0.0₆12340"),
        ("price", "0.000000000000000001", "0.0₁₇10000"),
        ("price", "0.000000000000000000000000000001", "0.0₂₉10000"),
        ("price", "0.000123456", "0.00012346"),
        ("price", "1234.56789", "1,234.5679"),
        ("price", "0", "0.0000"),
        ("price", None, "—"),
        ("amount", "1000000", "1,000,000"),
        ("amount", "123456789012.123456789012345678", "123.46B"),
        ("amount", "999990000000000000000.5", "999,990,000T"),
        ("amount", "12345.6789", "12,345.68"),
        ("amount", "12.345678", "12.3457"),
        ("amount", "0.000012345678", "0.000012346"),
        ("sol", "-1.5", "−1.5000"),
        ("sol", "0.000000001", "0.000000001"),
        ("sol", "99999999999.123456789", "99,999,999,999.1235"),
        ("sol", "-1234567890123.5", "−1.2346T"),
        ("usd", "123456789012345678901234.5", "$123,460,000,000T"),
        ("usd", "0", "$0.00"),
        ("usd", "1234567.891", "$1,234,567.89"),
        ("usd", "-0.00123", "−$0.0012"),
        ("usd", None, "—"),
        ("usdPrice", "0.00001234567", "$0.0₄1235"),
        ("usdPrice", "0.000000000000000000000000000001", "$0.0₂₉1000"),
        ("symbol", "BONK", "BONK"),
        ("symbol", "BONK 🐕‍🦺", "\u2068BONK 🐕‍🦺\u2069"),
        ("spelled", "0.0₆13468", "0.00000013468"),
        ("spelled", "$0.0₂₉1000", "$0.000000000000000000000000000001000"),
        ("symbol", "سلام", "\u2068سلام\u2069"),
        ("percent", "12345.678", "12,345.68%"),
        ("chosenPercent", "-20", "−20%"),
        ("chosenPercent", "7.125", "+7.125%"),
        ("chosenPercent", "0", "0%"),
        ("shortAddress", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", "DezX…B263"),
    ],
)
def test_number_is_shown_in_digits_that_people_read(script_page, function, digits, shown) -> None:
    assert (
        script_page.evaluate(
            "async ([name, digits]) => (await import('/static/realtime/format.js'))[name](digits)",
            [function, digits],
        )
        == shown
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"price": 0.123456789012345678901234567890}', "0.123456789012345678901234567890"),
        ('{"price": 1.309e-4}', "1.309e-4"),
        ('{"price": null}', None),
        ('{"price": 0}', "0"),
    ],
)
def test_wire_keeps_the_digits_of_money(script_page, text, expected) -> None:
    parsed = script_page.evaluate(
        "async (text) => (await import('/static/realtime/wire.js')).parse(text)", text
    )
    assert parsed == {"price": expected}


def test_cells_of_csv_are_those_of_the_server(script_page) -> None:
    """What may begin a formula in some spreadsheet, in each place of a text where it may."""
    texts = [
        f"{before}{start}"
        for before in ["", *' \ufeff\u200b\xa0"\t\r\n\u2028;,|', "a", "a,", '""', '; "', "\x85", "'"]
        for start in [
            "=1+1",
            "+A1",
            "-A1",
            "@SUM(1)",
            "\uff1dA1",
            "\u2212A1",
            "\u207aA1",
            "a=b",
            "1,5",
            "-1",
            "",
        ]
    ]
    written = script_page.evaluate(
        "async (texts) => texts.map((await import('/static/realtime/csv.js')).cell)", texts
    )
    number = re.compile(r"-?[0-9]+(\.[0-9]+)?")
    assert written == [text if number.fullmatch(text) else cell(text) for text in texts]

from __future__ import annotations

from decimal import Decimal

import pytest

from positions.prices.sol_price import CONFIRMING_ROUNDS, SolPrice


async def settled(price: SolPrice, *seen: object) -> list[Decimal | None]:
    return [await price.settle(None if value is None else Decimal(str(value))) for value in seen]


async def test_value_within_the_band_counts_at_once():
    assert await settled(SolPrice(), 150, 160, None, 145) == [150, 160, 160, 145]


async def test_value_outside_of_the_band_counts_once_it_has_stood():
    price = SolPrice()
    assert await settled(price, 150, *[1500] * CONFIRMING_ROUNDS) == [
        150,
        *[150] * (CONFIRMING_ROUNDS - 1),
        1500,
    ]


async def test_values_outside_of_the_band_that_differ_confirm_nothing():
    assert await settled(SolPrice(), 150, *[300, 900] * CONFIRMING_ROUNDS) == [150] * (
        2 * CONFIRMING_ROUNDS + 1
    )


async def test_restart_confirms_no_value_outside_of_the_band():
    price = SolPrice()
    price.resume(Decimal(150))
    assert await settled(price, *[1500] * CONFIRMING_ROUNDS) == [*[150] * (CONFIRMING_ROUNDS - 1), 1500]
    price.resume(Decimal(150))
    assert await settled(price, 1510) == [1510]


@pytest.mark.parametrize(("opinion", "right"), [("151", 151), ("1490", 1500), (None, 150)])
async def test_another_source_decides_on_a_value_outside_of_the_band(opinion, right):
    async def other() -> Decimal | None:
        return None if opinion is None else Decimal(opinion)

    price = SolPrice(other)
    await price.settle(Decimal(150))
    assert await price.settle(Decimal(1500)) == right

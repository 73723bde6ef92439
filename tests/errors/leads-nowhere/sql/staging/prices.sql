-- Prices as they come.
select
    product,
    price
from sources.prices

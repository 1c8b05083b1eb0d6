//! The visits that traces belong to: a visitor and a purpose.

use slipring::Value;
use slipring::attribute::Attributes;

use crate::rng::Rng;
use crate::skew::Skew;

/// A visit, with the data that attributes report.
pub(crate) struct Visit {
    pub user: u64,
    pub session: u64,
    /// The viewed product. A few products get most views.
    pub product: u16,
    /// The products in the cart.
    pub items: Vec<u16>,
    pub currency: &'static str,
    pub country: &'static str,
    /// The total in euros.
    pub amount: f64,
    pub order: u64,
    /// The search text.
    pub words: &'static str,
    pub agent: &'static str,
}

/// The number of products in the shop.
pub(crate) const PRODUCTS: u16 = 1000;

/// A generator of visits.
pub(crate) struct Visits {
    products: Skew,
    orders: u64,
}

impl Visits {
    pub fn new() -> Self {
        Self { products: Skew::zipf(PRODUCTS), orders: 0 }
    }

    pub fn next(&mut self, rng: &mut Rng) -> Visit {
        const CURRENCIES: &[&str] =
            &["EUR", "EUR", "EUR", "USD", "USD", "GBP", "CHF", "JPY", "PLN"];
        const COUNTRIES: &[&str] = &["DE", "DE", "FR", "US", "US", "GB", "CH", "JP", "PL", "IT"];
        const WORDS: &[&str] =
            &["lamp", "red shoes", "usb cable", "coffee", "tent 2 persons", "bücherregal", "gift"];
        const AGENTS: &[&str] = &[
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6",
            "shop-app/7.2.1 (Android 15)",
            "kube-probe/1.33",
        ];
        self.orders += 1;
        let items = (0..rng.between(1, 6)).map(|_| self.products.draw(rng)).collect();
        Visit {
            user: rng.below(50_000),
            session: rng.next(),
            product: self.products.draw(rng),
            items,
            currency: rng.pick(CURRENCIES),
            country: rng.pick(COUNTRIES),
            amount: rng.long_tail(4_000.0).floor() / 100.0,
            order: self.orders,
            words: rng.pick(WORDS),
            agent: rng.pick(AGENTS),
        }
    }
}

pub(crate) fn product_id(product: u16) -> String {
    format!("P{product:05}")
}

impl Visit {
    /// Returns the products in the cart, as an array of their ids.
    pub fn item_ids(&self) -> Value {
        self.items.iter().map(|item| Value::from(product_id(*item))).collect::<Vec<_>>().into()
    }

    /// Returns the order as it is sent: a map that contains a list of maps.
    pub fn order(&self) -> Value {
        let line = |item: &u16| {
            Attributes::from([("id", Value::from(product_id(*item))), ("quantity", 1.into())])
                .into()
        };
        let lines: Vec<Value> = self.items.iter().map(line).collect();
        let shipping = Attributes::from([
            ("country", Value::from(self.country)),
            ("express", self.order.is_multiple_of(5).into()),
        ]);
        Attributes::from([
            ("order", Value::from(self.order as i64)),
            ("lines", lines.into()),
            ("amount", self.amount.into()),
            ("currency", self.currency.into()),
            ("shipping", shipping.into()),
        ])
        .into()
    }
}

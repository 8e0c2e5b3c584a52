//! A service that is one function: `cargo run -p samspill --example function`, then
//! `curl localhost:8080 --json '{"items":[{"cents":200,"count":3}]}'`.

use samspill::extract::Json;
use samspill::{ApiError, Call};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Item {
    cents: u64,
    count: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Total {
    cents: u64,
}

#[derive(Debug, PartialEq, ApiError)]
enum TotalError {
    /// Nobody can pay as much.
    #[problem(status = 422, title = "The order is too large")]
    TooLarge,
}

#[samspill::function(name = "order-total")]
async fn handle_request(_call: &Call, order: Json<Order>) -> Result<Json<Total>, TotalError> {
    let mut prices = order.0.items.iter().map(|item| item.cents.checked_mul(item.count));
    let total = prices.try_fold(0, |sum: u64, price| sum.checked_add(price?));
    total.map(|cents| Json(Total { cents })).ok_or(TotalError::TooLarge)
}

#[cfg(test)]
mod tests {
    use samspill::test;

    use super::*;

    #[samspill::test]
    async fn it_is_a_function_like_any_other() {
        let order = |cents| Json(Order { items: vec![Item { cents, count: 2 }] });
        let total = handle_request(&test::call(), order(21)).await.unwrap();
        assert_eq!(total.0, Total { cents: 42 });
        assert_eq!(handle_request(&test::call(), order(u64::MAX)).await.err(), Some(TotalError::TooLarge));
    }
}

//! What stands behind the contract.

use samspill::Call;
use samspill::contract::ApiRouter;
use samspill::extract::{Json, Valid};

use {{crate}}::{GreetError, Greeting, Languages, Who};

/// All routes.
pub(crate) fn router() -> ApiRouter {
    {{crate}}::{{Trait}}Api::router(App)
}

struct App;

impl {{crate}}::{{Trait}} for App {
    async fn languages(&self, _call: &Call) -> Result<Json<Languages>, GreetError> {
        let languages = GREETINGS.map(|(language, _)| language.to_owned()).into();
        Ok(Json(Languages { languages }))
    }

    async fn greet(
        &self,
        _call: &Call,
        Valid(Json(Who { name, language })): Valid<Json<Who>>,
    ) -> Result<Json<Greeting>, GreetError> {
        match GREETINGS.iter().find(|(spoken, _)| *spoken == language) {
            Some((_, hello)) => Ok(Json(Greeting {
                text: format!("{hello}, {name}!"),
            })),
            None => Err(GreetError::UnknownLanguage { language }),
        }
    }
}

/// What to say in each language.
const GREETINGS: [(&str, &str); 3] = [("en", "Hello"), ("no", "Hei"), ("sv", "Hej")];

#[cfg(test)]
mod tests {
    use samspill::contract::ApiFailure;
    use samspill::test::{self, Server};

    use super::*;

    async fn server() -> Server {
        Server::start(test::service("{{name}}", []), router()).await
    }

    fn kari(language: &str) -> Who {
        Who {
            name: "Kari".to_owned(),
            language: language.to_owned(),
        }
    }

    #[tokio::test]
    async fn people_are_greeted_in_their_language() {
        let server = server().await;
        let client = {{crate}}::{{Trait}}Client::from(server.client());
        let greeting = client.greet(&test::call(), kari("no")).await.unwrap();
        assert_eq!(greeting.text, "Hei, Kari!");
        match client.greet(&test::call(), kari("xx")).await.unwrap_err() {
            ApiFailure::Refused(GreetError::UnknownLanguage { language }) => {
                assert_eq!(language, "xx");
            }
            other => panic!("{other:?}"),
        }
        server.stop().await;
    }

    /// Asks what the contract allows and what it does not, and compares the answers with its documents.
    #[tokio::test]
    async fn the_contract_is_kept() {
        let server = server().await;
        {{crate}}::{{Trait}}Api::conformance(&server.url("")).await.assert_kept();
        server.stop().await;
    }
}

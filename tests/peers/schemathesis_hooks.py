"""What schemathesis has to know of craterate: a check of its own, instead of `positive_data_acceptance`."""

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import positive_data_acceptance

# What no schema can say of a field; the documents say it in words.
UNSAID = {
    # Only the service knows which cursors it has given out.
    ("GET /v1/bookings", "cursor"),
    # The bounds of a number that is written as a text.
    ("GET /v1/quote", "weight_kg"),
}


@schemathesis.check
def refusals_are_documented(ctx, response, case):
    """A request that fits the document is accepted, or refused by a rule of the business that the document names."""
    try:
        return positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        problem = response.json()
        described = case.operation.definition.raw["responses"].get(str(response.status_code), {})
        if f"`{problem.get('type')}`" in described.get("description", ""):
            return None
        fields = {(case.operation.label, error["field"]) for error in problem.get("errors", [])}
        if fields and fields <= UNSAID:
            return None
        raise

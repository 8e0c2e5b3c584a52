//! What stands in `#[samspill::api(…)]`.

extern crate samspill_macros as samspill;

#[samspill::api(name = "parcels", versions = 1..=2)]
struct NotATrait;

#[samspill::api(versions = 1..=2)]
trait NoName {}

#[samspill::api(name = "parcels")]
trait NoVersions {}

#[samspill::api(name = "My Parcels", versions = 1..=2)]
trait BadName {}

#[samspill::api(name = "parcels", versions = 1..3)]
trait OpenRange {}

#[samspill::api(name = "parcels", versions = 2)]
trait NoRange {}

#[samspill::api(name = "parcels", versions = 2..=1)]
trait BackwardRange {}

#[samspill::api(name = "parcels", versions = 0..=2)]
trait VersionZero {}

#[samspill::api(name = "parcels", version = 1..=2)]
trait BadKey {}

#[samspill::api(name = "parcels", versions = 1..=2, deprecated(v3, since = "2026-11-01"))]
trait UnknownDeprecated {}

#[samspill::api(name = "parcels", versions = 1..=2, deprecated(v2, since = "2026-11-01"))]
trait NewestDeprecated {}

#[samspill::api(name = "parcels", versions = 1..=2, deprecated(1, since = "2026-11-01"))]
trait NumberDeprecated {}

#[samspill::api(name = "parcels", versions = 1..=2, deprecated(v1))]
trait SinceWhen {}

#[samspill::api(name = "parcels", versions = 1..=2, deprecated(v1, since = "2026-02-30"))]
trait BadDate {}

#[samspill::api(name = "parcels", versions = 1..=2, deprecated(v1, since = "2026-11-01", sunset = "2026-10-31"))]
trait SunsetFirst {}

#[samspill::api(name = "parcels", versions = 1..=3, deprecated(v1, since = "2026-11-01"), deprecated(v1, since = "2027-11-01"))]
trait Twice {}

#[samspill::api(name = "parcels", versions = 1..=2)]
trait NoMethods {}

#[samspill::api(name = "parcels", versions = 1..=2)]
trait Generic<T> {
    const LIMIT: u8;
    type Parcel;
}

#[samspill::api(name = "parcels", versions = 1..=2, name = "letters")]
trait TwoNames {}

#[samspill::api(name = "parcels", versions = 1..=2, versions = 1..=3)]
trait TwoRanges {}

#[samspill::api(name = "parcels", versions = 1..=2, deprecated(v1, since = "2026-11-01", since = "2026-12-01"))]
trait TwoDays {}

fn main() {}

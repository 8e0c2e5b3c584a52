//! `docs/reference/manifests.md` lists every cluster-only field.

const PAGE: &str = include_str!("../../../docs/reference/manifests.md");
const SOURCES: [&str; 6] = [
    include_str!("../src/kinds.rs"),
    include_str!("../src/kinds/container.rs"),
    include_str!("../src/kinds/deployment.rs"),
    include_str!("../src/kinds/route.rs"),
    include_str!("../src/kinds/service.rs"),
    include_str!("../src/kinds/values.rs"),
];

#[test]
fn every_cluster_only_field_is_published() {
    let mut count = 0;
    for source in SOURCES {
        for call in source.split("cluster_only(&[").skip(1) {
            let names = call.split(']').next().unwrap();
            for name in names.split('"').skip(1).step_by(2) {
                count += 1;
                assert!(PAGE.contains(&format!("`{name}`")), "docs/reference/manifests.md does not name `{name}`");
            }
        }
    }
    assert!(count > 40, "only {count} fields were found: has the code changed its shape?");
}

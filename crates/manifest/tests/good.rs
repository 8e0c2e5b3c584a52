//! Folders that are right, and what is understood.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use samspill_manifest::{Build, Loaded, load};
use samspill_model::intent::{
    AppProtocol, ContainerPort, EdgeRoute, Intent, PathMatch, PathRewrite, Probe, ProbeCheck, ServicePortSpec,
    TargetPort, WeightedService,
};
use samspill_model::name::{ServicePort, WorkloadName};

const LECTURE: &str = include_str!("lecture-deployment.yaml");

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn program(path: &Path) {
    std::fs::write(path, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn resolve(folder: &tempfile::TempDir) -> (Intent, Vec<String>) {
    let loaded = load(folder.path()).unwrap();
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    (loaded.resolve(&BTreeMap::new()).unwrap(), warnings)
}

#[test]
fn the_manifest_of_the_lecture_loads_as_it_stands() {
    let local = "images:\n  myorg/mycontainer: {exec: app}\nsecrets:\n  mysecrets: {PASSWORD: a$b, fromEnvFile: .secrets.env}\n";
    let secrets = "# two more\nTOKEN='x y'\nPASSWORD=overridden\n";
    let folder = folder(&[("lecture.yaml", LECTURE), ("samspill.local.yaml", local), (".secrets.env", secrets)]);
    program(&folder.path().join("app"));

    let loaded = load(folder.path()).unwrap();
    let cluster_only: Vec<_> = loaded.cluster_only.iter().map(|entry| entry.field.as_str()).collect();
    assert_eq!(cluster_only, ["Deployment spec.template.spec.imagePullSecrets"]);
    let place = format!("{}:26", folder.path().join("lecture.yaml").display());
    assert_eq!(loaded.cluster_only[0].place.to_string(), place);
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("no readinessProbe")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("no serviceAccountName")), "{warnings:?}");

    let root = loaded.folder().to_owned();
    let intent = loaded.resolve(&BTreeMap::new()).unwrap();
    let [workload] = intent.workloads.as_slice() else { panic!("{intent:?}") };
    assert_eq!(workload.name, WorkloadName::new("mynamespace", "myapp"));
    assert_eq!((workload.replicas, workload.termination_grace_seconds), (2, 30));
    assert_eq!((workload.service_account.as_str(), workload.version.as_str()), ("default", "latest"));
    assert_eq!(workload.ports, [ContainerPort { name: None, port: 8080 }]);
    assert_eq!(workload.program.executable, root.join("app"));
    assert_eq!(workload.program.working_dir, root);
    let env = [("PASSWORD", "a$$b"), ("TOKEN", "x y")];
    assert_eq!(workload.program.env, env.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(workload.program.secret_env, ["PASSWORD", "TOKEN"]);
    let liveness = Probe {
        check: ProbeCheck::Http { path: "/".to_owned(), port: 8080, headers: Vec::new() },
        initial_delay_seconds: 3,
        period_seconds: 30,
        timeout_seconds: 1,
        success_threshold: 1,
        failure_threshold: 3,
    };
    assert_eq!((&workload.readiness, &workload.liveness), (&None, &Some(liveness)));
}

const WHOLE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: tracking, namespace: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {LOG: debug, host: db, port: "5432"}
---
apiVersion: v1
kind: Secret
metadata: {name: database, namespace: shop}
type: Opaque
data: {password: cyRjcmV0}
stringData: {user: admin}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: tracking, namespace: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: tracking}}
  template:
    metadata: {labels: {app: tracking, app.kubernetes.io/version: "2.1"}}
    spec:
      serviceAccountName: tracking
      terminationGracePeriodSeconds: 5
      containers:
        - name: tracking
          image: registry.example:5000/team/tracking:7
          command: [/app/tracking, --name, "$(NAME)"]
          args: ["$(SAMSPILL_DATA_DIR)", "$$(NAME)"]
          ports:
            - {name: http, containerPort: 8080}
            - {name: grpc, containerPort: 50051}
          envFrom:
            - {prefix: CFG_, configMapRef: {name: settings}}
            - secretRef: {name: absent, optional: true}
          env:
            - {name: PORT, value: "8080"}
            - {name: PORT_GRPC, value: "50051"}
            - {name: PASSWORD, valueFrom: {secretKeyRef: {name: database, key: password}}}
            - {name: HOST, valueFrom: {configMapKeyRef: {name: settings, key: host}}}
            - {name: URL, value: "pg://u:$(PASSWORD)@$(HOST)/x?data=$(SAMSPILL_DATA_DIR)"}
            - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
            - {name: MISSING, valueFrom: {configMapKeyRef: {name: settings, key: none, optional: true}}}
            - {name: EMPTY}
          readinessProbe: {tcpSocket: {port: grpc}}
          livenessProbe: {httpGet: {port: http, path: /livez, httpHeaders: [{name: x-a, value: b}]}}
---
apiVersion: v1
kind: Service
metadata: {name: tracking, namespace: shop}
spec:
  selector: {app: tracking}
  ports:
    - {name: http, port: 80, targetPort: http, appProtocol: http}
    - {name: grpc, port: 50051, appProtocol: kubernetes.io/h2c}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: samspill, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules:
    - backendRefs: [{name: tracking, port: 80, weight: 9}, {name: tracking, port: 50051}]
    - matches:
        - path: {type: PathPrefix, value: /api/tracking/}
        - path: {type: Exact, value: /api/tracking}
      backendRefs: [{name: tracking, port: 80}]
    - matches: [{path: {value: /api/parcels}}]
      filters:
        - type: URLRewrite
          urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
      backendRefs: [{name: tracking, port: 80}]
"#;

fn whole() -> tempfile::TempDir {
    let local = "images:\n  registry.example:5000/other: {exec: nothing}\n  registry.example:5000/team: {build: {package: tracking}, workdir: work, env: {LOG: $(HOST)!}}\nports: {edge: {hostPort: 9090}}\ntry: {book: curl $(EDGE)/x, again: ls}\n";
    let folder = folder(&[("deep/er/whole.yml", WHOLE), ("samspill.local.yaml", local), ("work/x.txt", "")]);
    program(&folder.path().join("work/tracking"));
    folder
}

fn built(loaded: Loaded) -> Intent {
    let binary = loaded.folder().join("work/tracking");
    loaded.resolve(&BTreeMap::from([("tracking".to_owned(), binary)])).unwrap()
}

#[test]
fn everything_that_a_deployment_says_is_understood() {
    let folder = whole();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.builds, [Build::Package("tracking".to_owned())]);
    assert_eq!(loaded.edge_port, Some(9090));
    let examples: Vec<_> = loaded.examples.iter().map(|example| (&*example.title, &*example.command)).collect();
    assert_eq!(examples, [("book", "curl $(EDGE)/x"), ("again", "ls")]);
    let cluster_only: Vec<_> = loaded.cluster_only.iter().map(|entry| entry.field.as_str()).collect();
    assert_eq!(cluster_only, ["Gateway spec", "Deployment env PORT", "Deployment env PORT_GRPC"]);
    let unused = "warning: no Deployment uses the image `registry.example:5000/other`";
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].to_string().starts_with(unused), "{}", loaded.warnings[0]);

    let intent = built(loaded);
    let [workload] = intent.workloads.as_slice() else { panic!("{intent:?}") };
    assert_eq!((workload.replicas, workload.termination_grace_seconds), (0, 5));
    assert_eq!((workload.service_account.as_str(), workload.version.as_str()), ("tracking", "2.1"));
    let program = &workload.program;
    assert!(program.executable.ends_with("work/tracking"), "{}", program.executable.display());
    assert!(program.working_dir.ends_with("work"), "{}", program.working_dir.display());
    assert_eq!(program.args, ["--name", "$(SAMSPILL_INSTANCE)", "$(SAMSPILL_DATA_DIR)", "$$(NAME)"]);
    let env = [
        ("APP", "tracking"),
        ("CFG_LOG", "debug"),
        ("CFG_host", "db"),
        ("CFG_port", "5432"),
        ("EMPTY", ""),
        ("HOST", "db"),
        ("LOG", "db!"),
        ("NAME", "$(SAMSPILL_INSTANCE)"),
        ("PASSWORD", "s$$cret"),
        ("URL", "pg://u:s$$cret@db/x?data=$(SAMSPILL_DATA_DIR)"),
    ];
    assert_eq!(program.env, env.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(program.secret_env, ["PASSWORD", "URL"]);
    assert_eq!(workload.readiness.as_ref().unwrap().check, ProbeCheck::Tcp { port: 50051 });
    let headers = vec![("x-a".to_owned(), "b".to_owned())];
    let livez = ProbeCheck::Http { path: "/livez".to_owned(), port: 8080, headers };
    assert_eq!(workload.liveness.as_ref().unwrap().check, livez);
}

#[test]
fn services_and_routes_are_understood() {
    let folder = whole();
    let intent = built(load(folder.path()).unwrap());
    let [service] = intent.services.as_slice() else { panic!("{intent:?}") };
    let port =
        |name: &str, port, target, protocol| ServicePortSpec { name: Some(name.to_owned()), port, target, protocol };
    let ports = [
        port("http", 80, TargetPort::Name("http".to_owned()), AppProtocol::Http1),
        port("grpc", 50051, TargetPort::Number(50051), AppProtocol::Http2),
    ];
    assert_eq!(service.ports, ports);
    assert!(service.selects(&intent.workloads[0]));

    let to = |port, weight| WeightedService { service: ServicePort::new("tracking", "shop", port), weight };
    let route = |path, rewrite, backends| EdgeRoute { route: "shop/shop".to_owned(), path, rewrite, backends };
    let expected = [
        route(PathMatch::Exact("/api/tracking".to_owned()), None, vec![to(80, 1)]),
        route(PathMatch::Prefix("/api/tracking".to_owned()), None, vec![to(80, 1)]),
        route(
            PathMatch::Prefix("/api/parcels".to_owned()),
            Some(PathRewrite::ReplacePrefix("/".to_owned())),
            vec![to(80, 1)],
        ),
        route(PathMatch::Prefix("/".to_owned()), None, vec![to(80, 9), to(50051, 1)]),
    ];
    assert_eq!(intent.routes, expected);
}

#[test]
fn the_longest_prefix_of_an_image_wins_by_segments() {
    let manifest = LECTURE.replace("myorg/mycontainer", "myorg/mycontainer:1.0");
    let local = "images:\n  myorg: {exec: short}\n  myorg/mycontainer: {exec: long}\n  myorg/my: {exec: part}\nsecrets: {mynamespace/mysecrets: {K: v}}\n";
    let folder = folder(&[("a.yaml", &manifest), ("samspill.local.yaml", local)]);
    program(&folder.path().join("long"));
    let (intent, _) = resolve(&folder);
    assert!(intent.workloads[0].program.executable.ends_with("long"));
    assert_eq!(intent.workloads[0].version, "1.0");
}

#[test]
fn a_program_that_cannot_be_found_lists_what_was_tried() {
    for (mapping, expected) in [
        ("{exec: bin/nothing}", "bin/nothing, from `exec`: No such file or directory (os error 2)\n"),
        ("{exec: a.yaml}", "a.yaml, from `exec`: it is not executable (chmod +x)\n"),
        ("{exec: .}", "from `exec`: it is no file\n"),
        ("{build: {package: web}}", "  = tried: cargo has built no binary of the package `web`\n"),
    ] {
        let local = format!("images: {{myorg/mycontainer: {mapping}}}\nsecrets: {{mysecrets: {{K: v}}}}\n");
        let folder = folder(&[("a.yaml", LECTURE), ("samspill.local.yaml", &local)]);
        let loaded = load(folder.path()).unwrap();
        let shown = loaded.resolve(&BTreeMap::new()).unwrap_err().to_string();
        assert!(shown.starts_with("error: the program for the image `myorg/mycontainer` cannot be found\n"), "{shown}");
        assert!(shown.contains(expected), "{shown}");
        assert!(shown.contains("a.yaml:"), "{shown}");
    }
}

#[test]
fn hidden_folders_and_build_output_are_not_read() {
    let local = "images: {myorg/mycontainer: {exec: app}}\nsecrets: {mysecrets: {K: v}}\n";
    let folder = folder(&[
        ("a.yaml", LECTURE),
        ("samspill.local.yaml", local),
        (".git/b.yaml", "]"),
        ("target/c.yaml", "]"),
        ("node_modules/d.yaml", "]"),
        ("notes.txt", "]"),
    ]);
    load(folder.path()).unwrap();
}

proptest::proptest! {
    /// Whatever becomes of a good file: it loads, or the mistakes can be shown. It never panics.
    #[test]
    fn a_damaged_file_is_told_in_words(damages in proptest::collection::vec((0..WHOLE.len(), ".{0,3}", 0..30_usize), 1..4)) {
        let mut text = WHOLE.to_owned();
        for (start, inserted, removed) in damages {
            let start = (0..=start.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap();
            let end = (start + removed).min(text.len());
            let end = (end..=text.len()).find(|index| text.is_char_boundary(*index)).unwrap();
            text.replace_range(start..end, &inserted);
        }
        let folder = folder(&[("a.yaml", &text)]);
        if let Err(mistakes) = load(folder.path()) {
            let shown = mistakes.to_string();
            assert!(shown.ends_with("nothing was started"), "{shown}");
        }
    }
}

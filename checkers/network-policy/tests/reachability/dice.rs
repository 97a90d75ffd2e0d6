//! Random clusters.

/// A small generator, so that a failure can be repeated from its seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.roll(items.len() as u64) as usize]
    }

    fn selector(&mut self) -> String {
        match self.roll(6) {
            0 => "{}".to_owned(),
            1 => format!("{{matchLabels: {{{}: {}}}}}", self.pick(&["a", "b"]), self.pick(&["x", "y"])),
            2 => format!("{{matchLabels: {{kubernetes.io/metadata.name: {}}}}}", self.pick(&["n0", "n1"])),
            3 => {
                format!("{{matchExpressions: [{{key: {}, operator: {}}}]}}", self.pick(&["a", "b"]), self.pick(&["Exists", "DoesNotExist"]))
            }
            _ => format!(
                "{{matchExpressions: [{{key: {}, operator: {}, values: [{}, {}]}}]}}",
                self.pick(&["a", "b"]),
                self.pick(&["In", "NotIn"]),
                self.pick(&["x", "y", "z"]),
                self.pick(&["x", "y"])
            ),
        }
    }

    fn peer(&mut self) -> String {
        match self.roll(4) {
            0 => format!("{{podSelector: {}}}", self.selector()),
            1 => format!("{{namespaceSelector: {}}}", self.selector()),
            2 => format!("{{namespaceSelector: {}, podSelector: {}}}", self.selector(), self.selector()),
            _ => format!(
                "{{ipBlock: {{cidr: {}, except: [{}]}}}}",
                self.pick(&["10.0.0.0/24", "10.0.0.0/29"]),
                self.pick(&["10.0.0.2/31", "10.0.0.4/32"])
            ),
        }
    }

    fn list(&mut self, mut one: impl FnMut(&mut Self) -> String) -> String {
        let count = self.roll(3);
        self.times(count, &mut one)
    }

    fn times(&mut self, count: u64, one: &mut impl FnMut(&mut Self) -> String) -> String {
        let items: Vec<_> = (0..count).map(|_| one(self)).collect();
        items.join(", ")
    }

    fn rules(&mut self, key: &str) -> String {
        self.list(|dice| {
            let peers = dice.list(Self::peer);
            let ports =
                dice.list(|dice| dice.pick(&["{port: 80}", "{port: web}", "{port: 70, endPort: 90}", "{protocol: UDP}", "{}"]).to_owned());
            format!("{{{key}: [{peers}], ports: [{ports}]}}")
        })
    }

    pub fn cluster(&mut self) -> String {
        let mut documents = vec!["{apiVersion: v1, kind: Namespace, metadata: {name: n1, labels: {a: x}}}".to_owned()];
        for index in 0..9 {
            documents.push(format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: p{index}, namespace: n{}, labels: {{{}: {}}}}}, spec: {{hostNetwork: {}, nodeName: node{}, \
                 containers: [{{name: c, ports: [{{name: web, containerPort: {}}}]}}]}}, status: {{podIP: '{}{index}'}}}}",
                self.roll(3),
                self.pick(&["a", "b", "c"]),
                self.pick(&["x", "y", "z"]),
                self.roll(8) == 0,
                self.roll(2),
                self.pick(&["80", "81"]),
                self.pick(&["10.0.0.", "10.0.0.", "fd00::"]),
            ));
        }
        documents.push(
            "{apiVersion: lab/v1, kind: ExternalEndpoint, metadata: {name: out}, spec: {ip: 10.0.0.200, domainNames: [Out.example.com.]}}"
                .to_owned(),
        );
        for (node, pool, address) in [("node0", "gpu", "10.0.0.7"), ("node1", "cpu", "10.0.0.200")] {
            documents.push(format!(
                "{{apiVersion: v1, kind: Node, metadata: {{name: {node}, labels: {{pool: {pool}}}}}, status: {{addresses: [{{type: Hostname, address: {node}}}, {{type: InternalIP, address: {address}}}]}}}}"
            ));
        }
        for index in 0..self.roll(5) {
            let types = self.pick(&["", "", "policyTypes: [Ingress], ", "policyTypes: [Ingress, Egress], "]);
            let (selector, ingress, egress) = (self.selector(), self.rules("from"), self.rules("to"));
            documents.push(format!(
                "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p{index}, namespace: n{}}}, spec: {{podSelector: {selector}, {types}ingress: [{ingress}], egress: [{egress}]}}}}",
                self.roll(3)
            ));
        }
        for index in 0..self.roll(5) {
            documents.push(self.administrator(index));
        }
        documents.join("\n---\n")
    }

    /// `namespaces` or `pods`, as subjects and peers have them.
    fn pods(&mut self) -> String {
        match self.roll(2) {
            0 => format!("{{namespaces: {}}}", self.selector()),
            _ => format!("{{pods: {{namespaceSelector: {}, podSelector: {}}}}}", self.selector(), self.selector()),
        }
    }

    fn destination(&mut self) -> String {
        match self.roll(5) {
            0 => {
                format!("{{networks: [{}, {}]}}", self.pick(&["10.0.0.0/29", "10.0.0.200/32"]), self.pick(&["10.0.0.4/30", "'fd00::/120'"]))
            }
            1 => format!("{{nodes: {}}}", self.pick(&["{}", "{matchLabels: {pool: gpu}}", "{matchLabels: {pool: cpu}}"])),
            2 => format!("{{domainNames: [{}]}}", self.pick(&["out.example.com", "'*.example.com'", "example.com", "'*.com.'"])),
            _ => self.pods(),
        }
    }

    /// In each of the three kinds, with names of ports where there are pods behind.
    fn administrator(&mut self, index: u64) -> String {
        let (kind, version) = match self.roll(5) {
            // There is one at most.
            0 if index == 0 => ("BaselineAdminNetworkPolicy", "v1alpha1"),
            0..=2 => ("AdminNetworkPolicy", "v1alpha1"),
            _ => ("ClusterNetworkPolicy", "v1alpha2"),
        };
        let cluster = kind == "ClusterNetworkPolicy";
        let (name, priority) = match kind {
            "BaselineAdminNetworkPolicy" => ("default".to_owned(), String::new()),
            _ => (format!("a{index}"), format!("priority: {}, ", self.roll(3))),
        };
        let tier = if cluster { format!("tier: {}, ", self.pick(&["Admin", "Baseline"])) } else { String::new() };
        let actions: &[&str] = match kind {
            "BaselineAdminNetworkPolicy" => &["Allow", "Deny"],
            "AdminNetworkPolicy" => &["Allow", "Deny", "Pass"],
            _ => &["Accept", "Deny", "Pass"],
        };
        let rules = |dice: &mut Self, key: &str| {
            dice.list(|dice| {
                let count = 1 + dice.roll(2);
                let action = dice.pick(actions);
                // Names belong to rules that allow.
                let mut peer = |dice: &mut Self| loop {
                    let peer = if key == "to" { dice.destination() } else { dice.pods() };
                    if !peer.contains("domainNames") || matches!(action, "Allow" | "Accept") {
                        return peer;
                    }
                };
                let peers = dice.times(count, &mut peer);
                let port = match cluster {
                    true => dice.pick(&[
                        "{tcp: {destinationPort: {number: 80}}}",
                        "{tcp: {destinationPort: {range: {start: 70, end: 80}}}}",
                        "{udp: {destinationPort: {number: 80}}}",
                        "{destinationNamedPort: web}",
                    ]),
                    false => dice.pick(&[
                        "{portNumber: {port: 80}}",
                        "{portRange: {start: 70, end: 80}}",
                        "{portNumber: {port: 80, protocol: UDP}}",
                        "{namedPort: web}",
                    ]),
                };
                let ports = match dice.roll(2) {
                    0 => String::new(),
                    _ => format!(", {}: [{port}]", if cluster { "protocols" } else { "ports" }),
                };
                format!("{{action: {action}, {key}: [{peers}]{ports}}}")
            })
        };
        let (ingress, egress) = (rules(self, "from"), rules(self, "to"));
        let subject = self.pods();
        format!(
            "{{apiVersion: policy.networking.k8s.io/{version}, kind: {kind}, metadata: {{name: {name}}}, \
             spec: {{{tier}{priority}subject: {subject}, ingress: [{ingress}], egress: [{egress}]}}}}"
        )
    }
}

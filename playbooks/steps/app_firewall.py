"""Opens what an app's servers need from one another. SPEC: firewall_rules ([{from, to, ports, comment}]; no from: for everybody)."""

app_rules(SPEC["firewall_rules"])

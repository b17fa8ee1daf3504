"""The authors' tools: cases, mutations, explanations and checks of policies. Above the service, below its faces."""

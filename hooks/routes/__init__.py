"""One blueprint for each subject: discovery, services, health."""

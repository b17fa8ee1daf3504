"""The sandbox: a small EHR that signs orders, shows cards and takes suggestions, to try the service with.

It is a client of the service and of a FHIR server, over HTTP only: it knows nothing of how the service
decides. It is meant for loopback and example patients, never for real ones.
"""

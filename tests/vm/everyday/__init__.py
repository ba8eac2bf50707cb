"""What people do with Kubernetes every day, on one node that all of these tests share."""

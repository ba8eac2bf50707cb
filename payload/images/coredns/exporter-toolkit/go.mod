module github.com/prometheus/exporter-toolkit

go 1.26.0

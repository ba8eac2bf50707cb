package journal

import (
	"io"
	"log"
	"os"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/grpclog"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

// QuietLibraries sends what the linked components log to standard error: warnings and worse, or with
// debug everything.
func QuietLibraries(debug bool) {
	// The components of one process each apply the logging options; the first one's stay.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	logrus.SetOutput(os.Stderr)
	if debug {
		logrus.SetLevel(logrus.InfoLevel)
		klog.LogToStderr(true)
		return
	}
	logrus.SetLevel(logrus.WarnLevel)
	log.SetOutput(io.Discard)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	klog.LogToStderr(false)
	// klog writes a line to the sinks of its severity and of all lower ones: only one may be heard.
	for severity, sink := range map[string]io.Writer{
		"INFO": io.Discard, "WARNING": os.Stderr, "ERROR": io.Discard, "FATAL": io.Discard,
	} {
		klog.SetOutputBySeverity(severity, sink)
	}
}

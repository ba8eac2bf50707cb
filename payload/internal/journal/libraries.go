package journal

import (
	"flag"
	"io"
	"log"
	"os"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/grpclog"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

var quiet bool

// QuietLibraries sends what the linked components log to standard error: unexpected warnings and worse, or with
// debug everything.
func QuietLibraries(debug bool) {
	// The components of one process each apply the logging options; the first one's stay.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	logrus.SetOutput(os.Stderr)
	quiet = !debug
	if debug {
		logrus.SetLevel(logrus.InfoLevel)
		return
	}
	logrus.SetLevel(logrus.WarnLevel)
	log.SetOutput(io.Discard)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	// klog writes a line to the sinks of its severity and of all lower ones: only one may be heard.
	for severity, sink := range map[string]io.Writer{
		"INFO": io.Discard, "WARNING": filter{os.Stderr}, "ERROR": io.Discard, "FATAL": io.Discard,
	} {
		klog.SetOutputBySeverity(severity, sink)
	}
	KeepQuiet()
}

// KeepQuiet undoes what building a component's flags does: klog's flags set its variables to their defaults.
func KeepQuiet() {
	if !quiet {
		return
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			panic(err) // klog has lost a flag: a build error
		}
	}
}

// Hush drops what the libraries still say while everything is being stopped: that the others have gone. Some
// write to the file descriptor itself; the journal keeps a descriptor of its own.
func Hush() {
	if !quiet {
		return
	}
	nothing, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer nothing.Close()
	mutex.Lock()
	defer mutex.Unlock()
	kept, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return
	}
	out = os.NewFile(uintptr(kept), "journal")
	_ = unix.Dup3(int(nothing.Fd()), int(os.Stderr.Fd()), 0)
}

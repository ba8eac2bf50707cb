package addons

import "testing"

const options = " {\n    policy sequential\n    max_concurrent 1000\n}\nloop\n"

func TestForward(t *testing.T) {
	for resolv, want := range map[string]string{
		"":                       "",
		"nameserver 127.0.0.1\n": "",
		"# x\nnameserver 192.0.2.1\nsearch a\nnameserver 2001:db8::1\n":                    "forward . 192.0.2.1 2001:db8::1" + options,
		"nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n": "forward . 1.1.1.1 2.2.2.2 3.3.3.3" + options,
		"nameserver fe80::1%eth0\nnameserver 169.254.1.1\n":                                "",
		"nameserver\nnameserver nonsense\n":                                                "",
	} {
		if got := string(forward([]byte(resolv))); got != want {
			t.Errorf("%q: got %q, want %q", resolv, got, want)
		}
	}
}

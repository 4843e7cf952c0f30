package files

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestFPM(t *testing.T) {
	good := FPM{App: "web", Slot: "b", Workers: 10, Memory: 256, Stop: 40 * time.Second}
	text, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"listen = /run/sp-web-b/fpm.sock\n", "listen.mode = 0600\n", "pm.max_children = 10\n", "clear_env = no\n", "process_control_timeout = 40\n",
		"php_value[session.save_path] = /home/sp_web/shared/.php-sessions\n", "php_value[memory_limit] = 256M\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for field, spoil := range map[string]func(*FPM){
		"app": func(f *FPM) { f.App = "web\nuser = root" }, "slot": func(f *FPM) { f.Slot = "" }, "workers": func(f *FPM) { f.Workers = 0 },
		"memory": func(f *FPM) { f.Memory = 8 }, "stop": func(f *FPM) { f.Stop = 0 },
	} {
		bad := good
		spoil(&bad)
		_, err := bad.Encode()
		var refused *Refusal
		if !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

package files

import (
	"fmt"
	"time"
)

// FPM is the php-fpm of one slot.
type FPM struct {
	App, Slot string
	Workers   int           // requests at once, 1 to 500
	Memory    int           // MiB one request may take, 32 to 4096
	Stop      time.Duration // how long requests may go on when it is asked to end, 1 s to 1 h
}

// Encode gives the text of the slot's php-fpm.conf; see FPMPath.
//
// Its socket is in the slot's own folder, which no other app may enter: who reaches a php-fpm makes it run what he
// names. Scripts see the process's own environment, which carries each variable byte for byte; php-fpm's env[] does
// not. Sessions are kept beside the releases, so that a deployment signs nobody out.
func (f FPM) Encode() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, fpmConf, f.App, f.Slot, ScratchDir(f.App, f.Slot), f.Workers, f.Memory, int(f.Stop.Seconds()), SharedDir(f.App)), nil
}

func (f FPM) check() error {
	if err := checkApp(f.App); err != nil {
		return err
	}
	if err := checkSlot(f.Slot); err != nil {
		return err
	}
	if f.Workers < 1 || f.Workers > 500 {
		return refuse("workers", "must be 1 to 500")
	}
	if f.Memory < 32 || f.Memory > 4096 {
		return refuse("memory", "must be 32 to 4096 MiB")
	}
	if f.Stop < time.Second || f.Stop > time.Hour {
		return refuse("stop", "must be 1 s to 1 h")
	}
	return nil
}

// fpmConf: error_log is syslog, since the journal's socket cannot be opened as a file.
const fpmConf = `; Written by ServerPlane for slot %[2]s of %[1]s; changes made by hand are replaced.
[global]
error_log = syslog
syslog.ident = sp-%[1]s-%[2]s
log_level = warning
process_control_timeout = %[6]d

[slot]
listen = %[3]s/fpm.sock
listen.mode = 0600
listen.backlog = 511
pm = ondemand
pm.max_children = %[4]d
pm.process_idle_timeout = 60s
pm.max_requests = 1000
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
security.limit_extensions = .php
php_flag[display_errors] = off
php_flag[log_errors] = on
php_flag[expose_php] = off
php_value[memory_limit] = %[5]dM
php_value[upload_max_filesize] = 100M
php_value[post_max_size] = 101M
php_value[session.save_path] = %[7]s/.php-sessions
php_value[session.gc_probability] = 1
php_value[session.gc_divisor] = 1000
`

;; Asks the host for its config, whose text needs memory, and asks for it again from there: a circle through the host.
(import "lockgate:plugin/config@0.1.0" "get" (func $config (param i32)))
(func (export "cabi_realloc") (type $realloc) (call $config (i32.const 512)) (i32.const 65536))
(func $attack (type $transform) (call $config (i32.const 512)) unreachable)

;; Gives a result back, and loops when the host says that it has read it.
(func (export "cabi_post_lockgate:plugin/transformer@0.1.0#transform") (param i32) (loop (br 0)))
(func $attack (type $transform) (i32.const 1024))

;; Loops while the host asks it for memory to put the message into.
(func (export "cabi_realloc") (type $realloc) (loop (br 0)) unreachable)
(func $attack (type $transform) unreachable)

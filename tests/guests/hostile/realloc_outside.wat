;; Tells the host to put the message beyond its memory.
(func (export "cabi_realloc") (type $realloc) (i32.const 0x7ffffff8))
(func $attack (type $transform) unreachable)

;; Gives back an address beyond its memory.
(func $attack (type $transform) (i32.const 0x7ffffff8))

;; Never gets as far as the call: the module's start function loops.
(func $start (loop (br 0)))
(start $start)
(func $attack (type $transform) unreachable)

;; Never comes back from the call.
(func $attack (type $transform) (loop (br 0)) unreachable)

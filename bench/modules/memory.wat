;; A guest with 64 MiB of memory that writes one byte into a page of 64 KiB.
(module
  (memory (export "memory") 1024 1024)
  (func (export "touch") (param $page i32) (param $value i32) (result i32)
    (i32.store8 (i32.mul (local.get $page) (i32.const 65536)) (local.get $value))
    (i32.load8_u (i32.mul (local.get $page) (i32.const 65536)))))

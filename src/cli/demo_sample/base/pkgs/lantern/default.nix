{ mkPackage, licenses, maintainers, libtls, libchar, larder, librx }:

mkPackage {
  pname = "lantern";
  version = "5.4.7";

  sources = [ "src/lexer.c" "src/parser.c" "src/bytecode.c" "src/vm.c" "src/gc.c" "src/stdlib.c" ];
  exports = [ "ln_state" "ln_eval" "ln_module" ];
  buildInputs = [ libtls libchar larder librx ];
  uses = {
    "src/lexer.c".libchar = [ "ch_decode" ];
    "src/stdlib.c".libtls = [ "tls_new" ];
    "src/stdlib.c".larder = [ "ldr_open" ];
    "src/stdlib.c".librx = [ "rx_new" ];
  };
  tests = [ "closures" "tail-calls" "gc-stress" "stdlib" ];
  outputs = [ "out" "dev" "doc" ];
  cost = 260;
  size = 520;

  meta = {
    description = "Small language for large ideas";
    homepage = "https://lantern.example.org";
    license = licenses.mit;
    maintainers = [ maintainers.ines maintainers.yun ];
    mainProgram = "lantern";
    timeout = 600;
  };
}

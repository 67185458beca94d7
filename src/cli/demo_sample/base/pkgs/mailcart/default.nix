{ mkPackage, licenses, maintainers, libtls, larder, librx }:

mkPackage {
  pname = "mailcart";
  version = "2.3.21";

  sources = [ "src/imap.c" "src/mime.c" "src/filter.c" "src/spool.c" "src/main.c" ];
  buildInputs = [ libtls larder librx ];
  uses = {
    "src/imap.c".libtls = [ "tls_connect" "tls_verify" ];
    "src/filter.c".librx = [ "rx_match" ];
    "src/spool.c".larder = [ "ldr_put" ];
  };
  tests = [ "mime-torture" "quota" "dedupe" ];
  cost = 130;
  size = 150;

  meta = {
    description = "Fetches, filters and files mail";
    license = licenses.asl20;
    maintainers = [ maintainers.ines ];
  };
}

{ mkPackage, licenses, maintainers, libtls, larder, zpack }:

mkPackage {
  pname = "squirrel";
  version = "0.17.3";

  sources = [ "src/chunk.c" "src/pack.c" "src/restore.c" "src/prune.c" "src/main.c" ];
  buildInputs = [ libtls larder zpack ];
  uses."src/pack.c".libtls = [ "tls_write" ];
  uses."src/pack.c".larder = [ "ldr_put" ];
  uses."src/pack.c".zpack = [ "zp_write" ];
  tests = [ "restore" "interrupted" "prune" ];
  cost = 150;
  size = 140;

  meta = {
    description = "Encrypted backups, deduplicated";
    license = licenses.bsd2;
    maintainers = [ maintainers.kofi maintainers.marit ];
  };
}

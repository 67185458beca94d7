# Packages of the language Lantern.
{ mkPackage, licenses, maintainers, lantern }:

let
  module = package: mkPackage (package // {
    kind = "lantern";
    pname = "lantern-${package.pname}";
    buildInputs = [ lantern ] ++ package.buildInputs or [ ];
  });
in
rec {
  strings = module {
    pname = "strings";
    version = "1.4.0";

    sources = [ "case.ln" "pad.ln" ];
    tests = [ "pad" ];
    cost = 15;
    size = 10;

    meta = {
      description = "More to do with strings";
      license = licenses.mit;
      maintainers = [ maintainers.yun ];
    };
  };

  router = module {
    pname = "router";
    version = "3.2.1";

    sources = [ "match.ln" "tree.ln" "handler.ln" ];
    buildInputs = [ strings ];
    tests = [ "wildcards" "precedence" ];
    cost = 40;
    size = 10;

    meta = {
      description = "Requests to handlers";
      license = licenses.mit;
      maintainers = [ maintainers.ines ];
    };
  };

  templates = module {
    pname = "templates";
    version = "2.0.0";

    sources = [ "parse.ln" "render.ln" ];
    buildInputs = [ strings ];
    tests = [ "escaping" ];
    cost = 30;
    size = 10;

    meta = {
      description = "Text with holes";
      license = licenses.mit;
      maintainers = [ maintainers.ines ];
    };
  };

  http-server = module {
    pname = "http-server";
    version = "4.1.0";

    sources = [ "listen.ln" "request.ln" "response.ln" ];
    buildInputs = [ router ];
    tests = [ "keep-alive" "chunked" ];
    cost = 60;
    size = 10;

    meta = {
      description = "Serves HTTP";
      license = licenses.mit;
      maintainers = [ maintainers.marit ];
    };
  };

  larder-orm = module {
    pname = "larder-orm";
    version = "0.12.0";

    sources = [ "model.ln" "query.ln" "migrate.ln" ];
    buildInputs = [ strings ];
    tests = [ "joins" ];
    cost = 55;
    size = 10;

    meta = {
      description = "Objects from tables";
      license = licenses.asl20;
      maintainers = [ maintainers.kofi ];
    };
  };

  "json.schema" = module {
    pname = "json-schema";
    version = "1.1.2";

    sources = [ "schema.ln" "validate.ln" ];
    buildInputs = [ strings ];
    tests = [ "draft-2020" ];
    cost = 35;
    size = 10;

    meta = {
      description = "Validates JSON against a schema";
      license = licenses.mit;
      maintainers = [ maintainers.yun ];
    };
  };

  sessions = module {
    pname = "sessions";
    version = "1.0.3";

    sources = [ "cookie.ln" "store.ln" ];
    buildInputs = [ http-server larder-orm ];
    tests = [ "expiry" ];
    cost = 30;
    size = 10;

    meta = {
      description = "Who is asking, and since when";
      license = licenses.mit;
      maintainers = [ maintainers.marit ];
    };
  };

  websockets = module {
    pname = "websockets";
    version = "2.5.0";

    sources = [ "frame.ln" "upgrade.ln" ];
    buildInputs = [ http-server ];
    tests = [ "fragmentation" "ping" ];
    cost = 35;
    size = 10;

    meta = {
      description = "Both sides may speak";
      license = licenses.mit;
      maintainers = [ maintainers.ines ];
    };
  };

  admin-panel = module {
    pname = "admin-panel";
    version = "0.9.0";

    sources = [ "views.ln" "forms.ln" ];
    buildInputs = [ templates sessions larder-orm ];
    tests = [ "permissions" ];
    cost = 50;
    size = 40;

    meta = {
      description = "Tables to click on";
      license = licenses.gpl3Plus;
      maintainers = [ maintainers.kofi ];
    };
  };

  markdown = module {
    pname = "markdown";
    version = "3.3.0";

    sources = [ "block.ln" "inline.ln" ];
    buildInputs = [ strings ];
    tests = [ "suite" ];
    cost = 30;
    size = 10;

    meta = {
      description = "Text to hypertext";
      license = licenses.bsd2;
      maintainers = [ maintainers.yun ];
    };
  };

  blog = module {
    pname = "blog";
    version = "0.5.1";

    sources = [ "main.ln" ];
    buildInputs = [ markdown templates http-server ];
    cost = 20;
    size = 10;

    meta = {
      description = "A blog in a hundred lines";
      license = licenses.mit;
      maintainers = [ maintainers.tadeo ];
    };
  };

  mail = module {
    pname = "mail";
    version = "1.8.0";

    sources = [ "smtp.ln" "mime.ln" ];
    buildInputs = [ templates ];
    tests = [ "attachments" ];
    cost = 30;
    size = 10;

    meta = {
      description = "Sends mail";
      license = licenses.mit;
      maintainers = [ maintainers.ines ];
    };
  };

  cron = module {
    pname = "cron";
    version = "0.7.2";

    sources = [ "parse.ln" "run.ln" ];
    tests = [ "dst" ];
    cost = 20;
    size = 10;

    meta = {
      description = "Does it again tomorrow";
      license = licenses.isc;
      maintainers = [ maintainers.tadeo ];
    };
  };

  testing = module {
    pname = "testing";
    version = "2.1.0";

    sources = [ "assert.ln" "report.ln" ];
    tests = [ "fails-when-it-should" ];
    cost = 15;
    size = 10;

    meta = {
      description = "Says what was expected";
      license = licenses.mit;
      maintainers = [ maintainers.marit ];
    };
  };
}

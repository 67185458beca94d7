# What an evaluating process runs: one attribute after another, each announced before it is forced and reported after, so that a
# process that dies, or an error that nothing can catch, names its attribute. The marker's nonce is drawn for each process and is in no
# scope that the evaluated code can reach, so that a `builtins.trace` of its own is never taken for ours.
{
  nonce, # text
  path, # the Nix file, or the flake's directory
  flake, # whether `path` is a flake
  sources, # of a flake: the store path and hash of each remote input, by its node in flake.lock
  args, # arguments for the file's function, where it takes them
  system, # text
  forceRecurse, # recurse into every set that does not forbid it
  marks ? "/snowgate/marks", # where a recording makes its marks
}:
let
  emit = text: value: builtins.trace "@${nonce} ${text}" value;

  # As the Nix command line calls a function: with the arguments that it names.
  call =
    f:
    let
      formals = builtins.functionArgs f;
    in
    f (if formals == { } then args else builtins.intersectAttrs formals ({ inherit system; } // args));
  fromFile =
    let
      value = import path;
    in
    if builtins.isFunction value || (builtins.isAttrs value && value ? __functor && !(value ? type)) then
      call (if builtins.isFunction value then value else value.__functor value)
    else
      value;

  # As nix's call-flake.nix does it, but with the tree as it stands in place of a copy in the store, so that each file that an
  # attribute reads is read where it can be seen.
  fromFlake =
    let
      lock =
        if builtins.pathExists (path + "/flake.lock") then
          builtins.fromJSON (builtins.readFile (path + "/flake.lock"))
        else
          {
            root = "root";
            nodes.root = { };
          };
      resolve = spec: if builtins.isList spec then follow lock.root spec else spec;
      follow =
        node: names:
        if names == [ ] then
          node
        else
          follow (resolve lock.nodes.${node}.inputs.${builtins.head names}) (builtins.tail names);
      directory =
        key: node:
        if key == lock.root then
          path
        else if node.locked.type == "path" && builtins.substring 0 1 node.locked.path != "/" then
          (if node ? parent then directory (follow lock.root node.parent) lock.nodes.${follow lock.root node.parent} else path)
          + "/${node.locked.path}"
        else
          /. + sources.${key}.path;
      source =
        key: node:
        let
          dir = directory key node;
        in
        {
          # a source in the store keeps its path: the same content under the same name
          outPath = builtins.path (
            {
              path = dir;
              name = "source";
            }
            // (if sources ? ${key} then { sha256 = sources.${key}.narHash; } else { })
          );
          lastModified = node.locked.lastModified or 1;
          lastModifiedDate = "19700101000001";
        }
        // (if node ? locked.narHash then { inherit (node.locked) narHash; } else { })
        // (if node ? locked.rev then { inherit (node.locked) rev; shortRev = builtins.substring 0 7 node.locked.rev; } else { });
      flakes = builtins.mapAttrs (
        key: node:
        let
          info = source key node;
          dir = directory key node + (if node ? locked.dir then "/${node.locked.dir}" else "");
          definition = import (dir + "/flake.nix");
          inputs = builtins.mapAttrs (_: spec: flakes.${resolve spec}) (node.inputs or { });
          self =
            definition.outputs (inputs // { inherit self; })
            // info
            // {
              inherit inputs;
              outputs = definition.outputs (inputs // { inherit self; });
              sourceInfo = info;
              _type = "flake";
            };
        in
        if node.flake or true then self else info
      ) lock.nodes;
      root = lock.nodes.${lock.root};
      definition = import (path + "/flake.nix");
      info = source lock.root root;
      inputs = builtins.mapAttrs (_: spec: flakes.${resolve spec}) (root.inputs or { });
      outputs = definition.outputs (inputs // { inherit self; });
      self =
        outputs
        // info
        // {
          inherit inputs outputs;
          sourceInfo = info;
          _type = "flake";
        };
    in
    outputs;

  loaded = if flake then fromFlake else fromFile;
  # a file that is one derivation is the set of that one
  root = if isDerivation loaded then { default = loaded; } else loaded;
  get = names: builtins.foldl' (set: name: set.${name}) root names;

  isDerivation = value: builtins.isAttrs value && (value.type or null) == "derivation";
  recurses =
    value:
    if forceRecurse then
      value.recurseForDerivations or (!(value ? _type || value ? __functor)) == true
    else
      (value.recurseForDerivations or false) == true;

  describe =
    force: value:
    if isDerivation value then
      {
        drv = value.drvPath;
        outputs = builtins.listToAttrs (
          map (output: {
            name = output;
            value = value.${output}.outPath;
          }) (value.outputs or [ "out" ])
        );
        system = value.system or system;
      }
    else if builtins.isAttrs value && (force || recurses value) then
      { names = builtins.attrNames value; }
    else
      { };

  # A field that throws is absent; one that nothing can catch costs this attribute its meta only.
  fields = [
    "available" "badPlatforms" "broken" "changelog" "description" "homepage" "insecure" "knownVulnerabilities" "license" "mainProgram"
    "maintainers" "maxSilent" "platforms" "position" "timeout" "unfree"
  ];
  plain =
    depth: value:
    let
      type = builtins.typeOf value;
    in
    if type == "set" then
      if isDerivation value || depth > 3 then
        null
      else
        builtins.mapAttrs (_: plain (depth + 1)) (removeAttrs value [ "__functor" ])
    else if type == "list" then
      map (plain (depth + 1)) value
    else if type == "lambda" then
      null
    else if type == "path" then
      toString value
    else
      value;
  attempt =
    value:
    let
      result = builtins.tryEval (builtins.deepSeq value value);
    in
    if result.success then result.value else null;
  meta =
    value:
    builtins.listToAttrs (
      builtins.concatMap (
        name:
        if (value.meta or { }) ? ${name} then
          [
            {
              inherit name;
              value = attempt (plain 0 value.meta.${name});
            }
          ]
        else
          [ ]
      ) fields
    );

  each =
    report: names:
    builtins.foldl' (index: name: emit "S${toString index}" (builtins.seq (report index name) (index + 1))) 0 names;
  result = kind: index: value: let text = builtins.toJSON value; in builtins.seq text (emit "${kind}${toString index} ${text}" null);

  present = names: builtins.foldl' (set: name: if builtins.isAttrs set then set.${name} or null else null) root names != null;

  # Looked up, and so seen among the reads of this process.
  mark = name: builtins.pathExists "${marks}/${nonce}.${name}";
  markItem = index: builtins.seq (mark "t.${toString index}") null;

  # What a derivation is made from: the store paths that its attributes name.
  needs =
    value:
    let
      named = builtins.tryEval (
        builtins.seq value.drvPath (builtins.attrNames (builtins.getContext (builtins.toJSON (value.drvAttrs or { }))))
      );
    in
    if isDerivation value && named.success then named.value else [ ];

  # Items of a recording: an index, whether to recurse into it whatever it says, and a path; or the root; or outputs of a flake.
  # Where `n` stands, what it needs is told too.
  kinds = {
    root = _: describe true root;
    present = outputs: { names = map builtins.head (builtins.filter present outputs); };
    forced = names: describe true (get names);
    attr = names: describe false (get names);
  };
  item =
    item:
    emit "S${toString item.i}" (
      builtins.seq (if item ? n then result "I" item.i (needs (get item.p)) else null) (result "R" item.i (kinds.${item.k} item.p))
    );
  record = builtins.foldl' (_: i: builtins.seq (item i) (markItem i.i)) null;
  forked =
    id: go:
    if mark "fork.${toString id}" then
      builtins.seq (mark "back.${toString id}") (emit "P${toString id}" null)
    else
      builtins.seq (emit "F${toString id}" null) (go null);
in
{
  # The root itself.
  root = each (index: _: result "R" index (describe true root)) [ "" ];
  # Which of these paths there are.
  present = each (index: names: result "R" index (present names));
  # Attributes of one set: each its derivation, its names if it is a set to recurse into, or nothing.
  run = force: prefix: names: each (index: name: result "R" index (describe force (get prefix).${name})) names;
  # The same with what only a changed attribute is asked for; `paths` are whole paths.
  detail =
    paths:
    each (
      index: names:
      let
        value = get names;
        version = value.version or null;
        pname = value.pname or null;
        text = field: attempt (if builtins.isString field then field else null);
      in
      builtins.seq (result "R" index (describe true value)) (
        builtins.seq (result "N" index {
          pname = text pname;
          version = text version;
        }) (result "M" index (meta value))
      )
    ) paths;
  # Items one after the other, each followed by its mark, in this process.
  record = items: record items;
  # In a process forked for them, which goes on after them, or ends.
  fork = id: items: forked id (_: record items);
  leaf = id: items: forked id (_: builtins.seq (record items) (mark "exit"));
  # An item that nothing could catch is finished too.
  finish = index: markItem index;
  # Ends a forked process.
  leave = _: mark "exit";
  end = index: emit "E${toString index}" null;
}

#!/usr/bin/env perl
# Perl DBI with DBD::Pg: statements that the driver prepares at the server, its COPY, its catalog methods.
use strict;
use warnings;
use utf8;
use DBI qw(:sql_types);
use DBD::Pg qw(:pg_types);
use JSON::PP;
use Encode;

binmode STDOUT, ":encoding(UTF-8)";
$| = 1;
my $mark = $ENV{MARK};
my @columns = qw(size big price name raw at day code data tags sizes feeling good ratio);
my %names = (size => "int", big => "bigint", price => "numeric", name => "text", raw => "bytea", at => "timestamptz", day => "date",
  code => "uuid", data => "jsonb", feeling => "enum", good => "boolean", ratio => "double");
my @errors = (
  [unique => "INSERT INTO things (id, name) VALUES (300, 'types nulls $mark')"],
  [syntax => "SELECT id FROM things WHERE WHERE"],
  [column => "SELECT id, nosuch FROM things"],
  [table => "SELECT * FROM nowhere"],
  [null => "INSERT INTO things (id, name) VALUES (300, NULL)"],
  [check => "INSERT INTO things (id, name, size) VALUES (300, 'c $mark', -1)"],
  ["foreign key" => "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')"],
  [division => "SELECT 1 / (size - size) FROM things WHERE id = 1"],
  [input => "SELECT 'x'::int"],
);

sub say_ { my ($step, $what) = @_; print "$step: $what\n"; }

sub connection {
  my ($auto) = @_;
  my $options = $ENV{TENANT_OPTIONS} ? ";options='$ENV{TENANT_OPTIONS}'" : "";
  return DBI->connect("dbi:Pg:dbname=$ENV{PGDATABASE};host=$ENV{PGHOST};port=$ENV{PGPORT}$options", $ENV{PGUSER}, $ENV{PGPASSWORD},
    {AutoCommit => $auto // 1, RaiseError => 1, PrintError => 0, pg_enable_utf8 => 1});
}

sub one { my ($db, $sql, @values) = @_; return ($db->selectrow_array($sql, undef, @values))[0]; }

my %steps = (
  connect => sub {
    my $db = connection();
    say_ connect => "server " . int($db->{pg_server_version} / 10000);
    say_ connect => "rows " . one($db, "SELECT count(*) FROM things");
    say_ connect => "ping " . ($db->ping ? "yes" : "no");
    $db->disconnect;
  },
  types => sub {
    my $db = connection();
    my $insert = $db->prepare("INSERT INTO things (id, " . join(", ", @columns) . ") VALUES (1" . ", ?" x @columns . ")");
    my @values = (2147483647, "-9007199254740991", "12.50", "Zoë 'q' \"d\" \\ % \$1 ? $mark", "\x00\xff\\'", "2024-02-29 12:30:00+00", "2024-02-29",
      "00000000-0000-0000-0000-000000000007", '{"a":[1,null]}', ["a", undef, 'q"'], [1, 2, 3], "happy", 1, 0.1);
    $insert->bind_param($_ + 1, $values[$_]) for 0 .. $#values;
    $insert->bind_param(5, $values[4], {pg_type => PG_BYTEA});
    $insert->execute;
    my $select = $db->prepare("SELECT " . join(", ", @columns) . " FROM things WHERE id = ?");
    $select->execute(1);
    say_ types => "types " . join(",", @{$select->{pg_type}});
    my $row = $select->fetchrow_arrayref;
    for my $n (0 .. $#columns) {
      my ($column, $value) = ($columns[$n], $row->[$n]);
      $value = substr($value, 0, -1 - length $mark) if $column eq "name";
      $value = unpack "H*", $value if $column eq "raw";
      $value =~ s/^(\S+) (\S+)\+00$/$1T$2Z/ if $column eq "at";
      $value = JSON::PP->new->canonical->encode(decode_json $value) if $column eq "data";
      $value = join ",", map { $_ // "NULL" } @$value if ref $value;
      $value = $value ? "true" : "false" if $column eq "good";
      say_ types => ($names{$column} // $column) . " $value";
    }
    $db->do("INSERT INTO things (id, name, size) VALUES (2, ?, ?)", undef, "types nulls $mark", undef);
    $select->execute(2);
    say_ types => "nulls " . grep { !defined } $select->fetchrow_array;
  },
  prepared => sub {
    my $db = connection();
    my $insert = $db->prepare("INSERT INTO things (id, name, size) VALUES (?, ?, ?)", {pg_prepare_now => 1});
    my $made = 0;
    $made += $insert->execute(100 + $_, "prepared $_ $mark", $_) for 0 .. 19;
    say_ prepared => "inserted $made";
    my $named = $db->prepare("SELECT size FROM things WHERE id = :id");
    my $sum = 0;
    for my $n (0 .. 19) { $named->bind_param(":id", 100 + $n, SQL_BIGINT); $named->execute; $sum += ($named->fetchrow_array)[0]; }
    say_ prepared => "named $sum";
    my $unnamed = $db->prepare("SELECT size FROM things WHERE id = \$1", {pg_server_prepare => 0});
    $sum = 0;
    for my $n (0 .. 19) { $unnamed->execute(100 + $n); $sum += $unnamed->fetchrow_array; }
    say_ prepared => "unnamed $sum";
    say_ prepared => "any " . one($db, "SELECT count(*) FROM things WHERE id = ANY(?)", [1, 100, 119, 9999]);
  },
  transactions => sub {
    my $db = connection(0);
    my $insert = $db->prepare("INSERT INTO things (id, name) VALUES (?, ?)");
    $insert->execute(200, "undone $mark");
    $db->rollback;
    say_ transactions => "rolled back " . one($db, "SELECT count(*) FROM things WHERE id = 200");
    $insert->execute(201, "kept 201 $mark");
    $db->pg_savepoint("s");
    $insert->execute(202, "undone $mark");
    $db->pg_rollback_to("s");
    $insert->execute(203, "kept 203 $mark");
    $db->commit;
    say_ transactions => "kept " . join(",", @{$db->selectcol_arrayref("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id")});
    eval { $insert->execute(201, "again $mark") };
    eval { $db->do("SELECT 1") };
    say_ transactions => "aborted " . $db->state;
    say_ transactions => "ping " . $db->ping;
    $db->rollback;
    my $part = $db->prepare("INSERT INTO parts (thing_id, label) VALUES (201, ?) RETURNING id");
    for my $n (0 .. 2) { $part->execute("part $n $mark"); die unless $part->fetchrow_array > 0; }
    $db->commit;
    say_ transactions => "parts " . one($db, "SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id");
    $db->rollback;
  },
  errors => sub {
    my $db = connection();
    for (@errors) {
      my ($what, $sql) = @$_;
      eval { my $s = $db->prepare($sql); $s->execute; 1 } and die "$what went through";
      say_ errors => "$what " . $db->state;
      (my $text = $db->errstr) =~ s/\n.*//s;
      say_ errors => "$what $text";
    }
    say_ errors => "after " . one($db, "SELECT 42");
  },
  bulk => sub {
    my $db = connection();
    $db->do("COPY things (id, name, size) FROM STDIN");
    $db->pg_putcopydata(sprintf "%d\tbulk %d %s\t%d\n", 1000 + $_, $_, $mark, $_) for 0 .. 999;
    $db->pg_putcopyend;
    say_ bulk => "loaded " . one($db, "SELECT count(*) FROM things WHERE id BETWEEN 1000 AND 1999");
    say_ bulk => "sum " . one($db, "SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999");
    my $insert = $db->prepare("INSERT INTO things (id, name, size) VALUES (?, ?, ?)");
    say_ bulk => "batch " . $insert->execute_array({}, [map { 2000 + $_ } 0 .. 99], [map { "batch $_ $mark" } 0 .. 99], [0 .. 99]);
    say_ bulk => "updated " . $db->do("UPDATE things SET size = size + 1 WHERE id BETWEEN 1000 AND 1999");
    say_ bulk => "deleted " . $db->do("DELETE FROM things WHERE id >= 2000");
    $db->do("COPY (SELECT id, name FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT");
    my ($line, $out) = ("", 0);
    $out++ while $db->pg_getcopydata($line) >= 0;
    say_ bulk => "out $out";
    $db->begin_work;
    $db->do("DECLARE walk CURSOR FOR SELECT id FROM things WHERE id >= 1000 ORDER BY id");
    my $seen = 0;
    while (my @page = @{$db->selectcol_arrayref("FETCH 70 FROM walk")}) { $seen += @page; }
    $db->commit;
    say_ bulk => "streamed $seen";
    say_ bulk => "total " . one($db, "SELECT count(*) FROM things");
  },
  introspection => sub {
    my $db = connection();
    my @tables = map { $_->[2] } @{$db->table_info(undef, "public", "%", "TABLE")->fetchall_arrayref};
    say_ introspection => "tables @tables";
    my $found = $db->column_info(undef, "public", "things", "%")->fetchall_arrayref({});
    my @shown = grep { $_ ne "tenant_id" } map { $_->{COLUMN_NAME} } @$found;
    say_ introspection => "columns " . join(",", @shown);
    say_ introspection => "column $_->{COLUMN_NAME} $_->{pg_type} $_->{NULLABLE} " . ($_->{COLUMN_SIZE} // "-") . " " . join("/", @{$_->{pg_enum_values} // []}) for @$found;
    say_ introspection => "key " . join(",", grep { $_ ne "tenant_id" } $db->primary_key(undef, "public", "things"));
    my $foreign = $db->foreign_key_info(undef, undef, undef, undef, "public", "parts")->fetchall_arrayref({});
    say_ introspection => "foreign $_->{FK_NAME} $_->{FK_COLUMN_NAME} $_->{UK_TABLE_NAME} $_->{UK_COLUMN_NAME}" for grep { $_->{FK_COLUMN_NAME} ne "tenant_id" } @$foreign;
    my $indexes = $db->statistics_info(undef, "public", "things", 0, 1)->fetchall_arrayref({});
    say_ introspection => "index $_->{INDEX_NAME} $_->{NON_UNIQUE} $_->{COLUMN_NAME}" for grep { defined $_->{INDEX_NAME} && $_->{COLUMN_NAME} ne "tenant_id" } @$indexes;
  },
);

say_ version => $DBD::Pg::VERSION;
for my $step (qw(connect types prepared transactions errors bulk introspection)) {
  next if eval { $steps{$step}->(); 1 };
  (my $why = $@) =~ s/\s+/ /g;
  print "$step! $why\n";
}

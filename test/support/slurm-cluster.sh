#!/bin/bash
# A Slurm of one node on this machine, with accounting, for tests. Everything lies in one folder, on ports of its own.
#   slurm-cluster.sh start FOLDER [PORT]     prints the path of its slurm.conf (for SLURM_CONF)
#   slurm-cluster.sh stop FOLDER
# From Debian's packages: slurmctld slurmd slurmdbd slurm-client slurm-wlm-mysql-plugin munge mariadb-server
set -eu
command="$1"
folder="$(realpath -m "$2")"
port="${3:-26817}"
PATH="$PATH:/usr/sbin:/sbin"

stop() {
  pids=
  for name in slurmd slurmctld slurmdbd mariadbd munged; do
    if [ -f "$folder/$name.pid" ]; then pids="$pids $(cat "$folder/$name.pid")"; fi
  done
  for pid in $pids; do kill "$pid" 2> /dev/null || true; done
  for _ in $(seq 100); do
    alive=
    for pid in $pids; do if kill -0 "$pid" 2> /dev/null; then alive=1; fi; done
    if [ -z "$alive" ]; then return; fi
    sleep 0.2
  done
}

wait_for() {
  what="$1"; shift
  for _ in $(seq 100); do
    if "$@" > "$folder/log/wait.txt" 2>&1; then return; fi
    sleep 0.3
  done
  echo "$what does not come up: $(cat "$folder/log/wait.txt")" >&2
  stop
  exit 1
}

start() {
  user="$(id -un)"
  host="$(hostname -s)"
  mkdir -p "$folder/state" "$folder/spool" "$folder/log"
  chmod 755 "$folder"

  mungekey --create --keyfile "$folder/munge.key"
  munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munged.pid" \
    --log-file "$folder/log/munged.log" --seed-file "$folder/munge.seed"

  mariadb-install-db --no-defaults --user="$user" --datadir="$folder/database" --skip-test-db \
    --auth-root-authentication-method=normal > "$folder/log/install-db.txt" 2>&1
  mariadbd --no-defaults --user="$user" --datadir="$folder/database" --socket="$folder/database.socket" \
    --bind-address=127.0.0.1 --port="$((port + 3))" --pid-file="$folder/mariadbd.pid" \
    > "$folder/log/mariadbd.log" 2>&1 &
  sql() { mariadb --no-defaults --user=root --socket="$folder/database.socket" --execute "$1"; }
  wait_for 'the database' sql 'select 1'
  sql "create database slurm_acct; create user slurm@'127.0.0.1' identified by 'slurm';
    create user slurm@localhost identified by 'slurm';
    grant all on slurm_acct.* to slurm@'127.0.0.1'; grant all on slurm_acct.* to slurm@localhost;"

  cat > "$folder/slurmdbd.conf" << END
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
DbdHost=localhost
DbdPort=$((port + 2))
SlurmUser=$user
LogFile=$folder/log/slurmdbd.log
PidFile=$folder/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 3))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
END
  chmod 600 "$folder/slurmdbd.conf"
  cat > "$folder/slurm.conf" << END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
# The socket of munge, for accounting.
AccountingStoragePass=$folder/munge.socket
AccountingStoragePort=$((port + 2))
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  export SLURM_CONF="$folder/slurm.conf"
  slurmdbd
  wait_for 'the accounting of Slurm' sacctmgr --noheader --immediate list cluster
  slurmctld -c -f "$SLURM_CONF"
  wait_for 'the controller of Slurm' scontrol ping
  slurmd -f "$SLURM_CONF"
  idle() { sinfo --noheader --format=%T | grep -q idle; }
  wait_for 'the node of Slurm' idle
  echo "$SLURM_CONF"
}

"$command"

//! The protocol's calls: one struct each, with the protocol's own field names.

use serde::Serialize;

use super::super::model::{
    Colony, Executor, FunctionSpec, Id, Log, NewColony, NewExecutor, NewUser, Process, ProcessId, ServerInfo,
    Statistics, User,
};
use super::{Call, List, Nothing};

/// Declares calls: `Name { fields } = "payload type", "action" -> reply`.
macro_rules! calls {
    ($($name:ident { $($field:ident: $type:ty),+ } = $payload_type:literal, $action:literal -> $reply:ty;)*) => {$(
        #[derive(Serialize)]
        pub(in super::super) struct $name<'a> {
            $(pub(in super::super) $field: $type,)+
        }

        impl Call for $name<'_> {
            const PAYLOAD_TYPE: &'static str = $payload_type;
            const ACTION: &'static str = $action;
            type Reply = $reply;
        }
    )*};
}

calls! {
    // The server's owner.
    AddColony { colony: &'a NewColony } = "addcolonymsg", "add a colony" -> Colony;

    // The colony's owner.
    AddUser { user: &'a NewUser } = "addusermsg", "add a user" -> User;
    AddExecutor { executor: &'a NewExecutor } = "addexecutormsg", "add an executor" -> Executor;
    ApproveExecutor { colonyname: &'a str, executorname: &'a str }
        = "approveexecutormsg", "approve an executor" -> Nothing;
    RemoveExecutor { colonyname: &'a str, executorname: &'a str }
        = "removeexecutormsg", "remove an executor" -> Nothing;

    // Members.
    SubmitFunctionSpec { spec: &'a FunctionSpec } = "submitfuncspecmsg", "submit a process" -> Process;
    GetProcess { processid: &'a ProcessId } = "getprocessmsg", "read a process" -> Process;
    GetProcesses {
        colonyname: &'a str,
        count: u8,
        state: u8,
        executortype: &'a str,
        label: &'a str,
        initiator: &'a str
    } = "getprocessesmsg", "list processes" -> List<Process>;
    CancelProcess { processid: &'a ProcessId } = "cancelprocessmsg", "cancel a process" -> Nothing;
    GetExecutors { colonyname: &'a str } = "getexecutorsmsg", "list executors" -> List<Executor>;
    GetExecutor { colonyname: &'a str, executorname: &'a str } = "getexecutormsg", "read an executor" -> Executor;
    GetExecutorById { colonyname: &'a str, executorid: &'a Id }
        = "getexecutorbyidmsg", "read an executor" -> Executor;
    GetColony { colonyname: &'a str } = "getcolonymsg", "read the colony" -> Colony;
    GetColonyStatistics { colonyname: &'a str }
        = "getcolonystatsmsg", "read the colony's statistics" -> Statistics;
    GetLogs { colonyname: &'a str, processid: &'a ProcessId, executorname: &'a str, count: u16, since: i64 }
        = "getlogsmsg", "read a process's log" -> List<Log>;

    // Executors.
    AssignProcess { colonyname: &'a str, timeout: u32, availablecpu: &'a str, availablemem: &'a str }
        = "assignprocessmsg", "take a process" -> Process;
    CloseSuccessful { processid: &'a ProcessId, out: &'a [serde_json::Value] }
        = "closesuccessfulmsg", "close a process as successful" -> Nothing;
    CloseFailed { processid: &'a ProcessId, errors: &'a [String] }
        = "closefailedmsg", "close a process as failed" -> Nothing;
    SetOutput { processid: &'a ProcessId, out: &'a [serde_json::Value] }
        = "setoutputmsg", "set a process's output" -> Nothing;
    AddLog { processid: &'a ProcessId, message: &'a str } = "addlogmsg", "add to a process's log" -> Nothing;
}

/// Asks a server what it is. The one call that needs no signature.
#[derive(Serialize)]
pub(in super::super) struct GetServerInfo {}

impl Call for GetServerInfo {
    const PAYLOAD_TYPE: &'static str = "getserverinfomsg";
    const ACTION: &'static str = "reach the colony server";
    type Reply = ServerInfo;
}

//! The protocol's calls: one struct each, with the protocol's own field names.

use serde::Serialize;

use serde_json::{Map, Value};

use super::{
    super::model::{
        Attribute, Blueprint, BlueprintDefinition, BlueprintRevision, Colony, Cron, Executor, FunctionSpec,
        Id, Log, NewAttribute, NewColony, NewCron, NewExecutor, NewUser, Process, ProcessGraph, ProcessId,
        ServerInfo, Statistics, User, WorkflowSpec,
    },
    Call, List, Nothing, PauseStatus,
};

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
    RemoveColony { colonyname: &'a str } = "removecolonymsg", "remove a colony" -> Nothing;

    // The colony's owner.
    AddUser { user: &'a NewUser } = "addusermsg", "add a user" -> User;
    AddExecutor { executor: &'a NewExecutor } = "addexecutormsg", "add an executor" -> Executor;
    ApproveExecutor { colonyname: &'a str, executorname: &'a str }
        = "approveexecutormsg", "approve an executor" -> Nothing;
    RemoveExecutor { colonyname: &'a str, executorname: &'a str }
        = "removeexecutormsg", "remove an executor" -> Nothing;
    RejectExecutor { colonyname: &'a str, executorname: &'a str }
        = "rejectexecutormsg", "reject an executor" -> Nothing;
    RemoveUser { colonyname: &'a str, name: &'a str } = "removeusermsg", "remove a user" -> Nothing;
    PauseAssignments { colonyname: &'a str } = "pauseassignmentsmsg", "pause assignments" -> Nothing;
    ResumeAssignments { colonyname: &'a str } = "resumeassignmentsmsg", "resume assignments" -> Nothing;
    RemoveAllProcesses { colonyname: &'a str, state: i8 }
        = "removeallprocessesmsg", "remove processes" -> Nothing;
    AddBlueprintDefinition { blueprintdefinition: &'a BlueprintDefinition }
        = "addblueprintdefinitionmsg", "add a blueprint definition" -> BlueprintDefinition;
    RemoveBlueprintDefinition { namespace: &'a str, name: &'a str }
        = "removeblueprintdefinitionmsg", "remove a blueprint definition" -> Nothing;

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
    GetLogs {
        colonyname: &'a str,
        processid: &'a ProcessId,
        executorname: &'a str,
        count: u16,
        since: i64,
        latest: bool
    } = "getlogsmsg", "read a process's log" -> List<Log>;
    GetUsers { colonyname: &'a str } = "getusersmsg", "list users" -> List<User>;
    GetUser { colonyname: &'a str, name: &'a str } = "getusermsg", "read a user" -> User;
    GetPauseStatus { colonyname: &'a str }
        = "getpausestatusmsg", "read whether assignments are paused" -> PauseStatus;
    RemoveProcess { processid: &'a ProcessId } = "removeprocessmsg", "remove a process" -> Nothing;
    GetProcessHistory { colonyname: &'a str, executorid: &'a str, seconds: u32, state: u8 }
        = "getprocesshistmsg", "list past processes" -> List<Process>;
    GetAttribute { attributeid: &'a str } = "getattributemsg", "read an attribute" -> Attribute;

    // Workflows.
    SubmitWorkflow { spec: &'a WorkflowSpec } = "submitworkflowspecmsg", "submit a workflow" -> ProcessGraph;
    GetProcessGraph { processgraphid: &'a str } = "getprocessgraphmsg", "read a workflow" -> ProcessGraph;
    GetProcessGraphs { colonyname: &'a str, count: u8, state: u8 }
        = "getprocessgraphsmsg", "list workflows" -> List<ProcessGraph>;
    CancelProcessGraph { processgraphid: &'a str } = "cancelprocessgraphmsg", "cancel a workflow" -> Nothing;
    RemoveProcessGraph { processgraphid: &'a str } = "removeprocessgraphmsg", "remove a workflow" -> Nothing;

    // Crons.
    AddCron { cron: &'a NewCron } = "addcronmsg", "add a cron" -> Cron;
    GetCron { cronid: &'a str } = "getcronmsg", "read a cron" -> Cron;
    GetCrons { colonyname: &'a str, count: u32 } = "getcronsmsg", "list crons" -> List<Cron>;
    RunCron { cronid: &'a str } = "runcronmsg", "run a cron" -> Cron;
    RemoveCron { cronid: &'a str } = "removecronmsg", "remove a cron" -> Nothing;

    // Blueprints. What is `colonyname` in one call is `namespace` in the next.
    GetBlueprintDefinition { colonyname: &'a str, name: &'a str }
        = "getblueprintdefinitionmsg", "read a blueprint definition" -> BlueprintDefinition;
    GetBlueprintDefinitions { colonyname: &'a str }
        = "getblueprintdefinitionsmsg", "list blueprint definitions" -> List<BlueprintDefinition>;
    AddBlueprint { blueprint: &'a Blueprint } = "addblueprintmsg", "add a blueprint" -> Blueprint;
    GetBlueprint { namespace: &'a str, name: &'a str } = "getblueprintmsg", "read a blueprint" -> Blueprint;
    GetBlueprints { namespace: &'a str, kind: &'a str, locationname: &'a str }
        = "getblueprintsmsg", "list blueprints" -> List<Blueprint>;
    UpdateBlueprint { blueprint: &'a Blueprint, forcegeneration: bool }
        = "updateblueprintmsg", "update a blueprint" -> Blueprint;
    RemoveBlueprint { namespace: &'a str, name: &'a str }
        = "removeblueprintmsg", "remove a blueprint" -> Nothing;
    UpdateBlueprintStatus { colonyname: &'a str, blueprintname: &'a str, status: &'a Map<String, Value> }
        = "updateblueprintstatusmsg", "set the status of a blueprint" -> Nothing;
    ReconcileBlueprint { namespace: &'a str, name: &'a str, force: bool }
        = "reconcileblueprintmsg", "have a blueprint reconciled" -> Process;
    GetBlueprintHistory { blueprintid: &'a str, limit: u32 }
        = "getblueprinthistorymsg", "read the history of a blueprint" -> List<BlueprintRevision>;

    // Executors.
    AssignProcess { colonyname: &'a str, timeout: u32, availablecpu: &'a str, availablemem: &'a str }
        = "assignprocessmsg", "take a process" -> Process;
    CloseSuccessful { processid: &'a ProcessId, out: &'a [Value] }
        = "closesuccessfulmsg", "close a process as successful" -> Nothing;
    CloseFailed { processid: &'a ProcessId, errors: &'a [String] }
        = "closefailedmsg", "close a process as failed" -> Nothing;
    SetOutput { processid: &'a ProcessId, out: &'a [Value] }
        = "setoutputmsg", "set a process's output" -> Nothing;
    AddLog { processid: &'a ProcessId, message: &'a str } = "addlogmsg", "add to a process's log" -> Nothing;
    ChangeExecutorId { colonyname: &'a str, executorid: &'a Id }
        = "changeexecutoridmsg", "change an executor's identity" -> Nothing;
    AddAttribute { attribute: &'a NewAttribute } = "addattributemsg", "add an attribute" -> Attribute;

    // Over the websocket; each push is a reply.
    SubscribeProcess { colonyname: &'a str, processid: &'a ProcessId, executortype: &'a str, state: u8, timeout: u32 }
        = "subscribeprocessmsg", "follow a process" -> Process;
}

/// Lists colonies. For the server's owner.
#[derive(Serialize)]
pub(in super::super) struct GetColonies {}

impl Call for GetColonies {
    const PAYLOAD_TYPE: &'static str = "getcoloniesmsg";
    const ACTION: &'static str = "list colonies";
    type Reply = List<Colony>;
}

/// Asks a server what it is. The one call that needs no signature.
#[derive(Serialize)]
pub(in super::super) struct GetServerInfo {}

impl Call for GetServerInfo {
    const PAYLOAD_TYPE: &'static str = "getserverinfomsg";
    const ACTION: &'static str = "reach the colony server";
    type Reply = ServerInfo;
}

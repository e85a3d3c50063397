//! Every text of the console, English and Chinese side by side: neither can be missing, and what stands in braces is
//! checked in both when the program is built.

use std::fmt::Display;

use crate::language::Language;

macro_rules! texts {
    ($($name:ident $(($($arg:ident),+))? $en:literal, $zh:literal;)*) => {
        /// Every text: name, English, Chinese.
        #[cfg(test)]
        pub const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $en, $zh)),*];

        impl Language {
            $(texts!(@one $name $(($($arg),+))? $en, $zh);)*
        }
    };
    (@one $name:ident $en:literal, $zh:literal) => {
        #[doc = $en]
        pub fn $name(self) -> &'static str {
            match self {
                Self::En => $en,
                Self::Zh => $zh,
            }
        }
    };
    (@one $name:ident ($($arg:ident),+) $en:literal, $zh:literal) => {
        #[doc = $en]
        pub fn $name(self, $($arg: impl Display),+) -> String {
            match self {
                Self::En => format!($en, $($arg = $arg),+),
                Self::Zh => format!($zh, $($arg = $arg),+),
            }
        }
    };
}

texts! {
    // Quotas.
    quota "Quota", "配额";
    budget "Shared by", "共用者";
    quota_allows "Allowed", "允许";
    quota_used "Used", "已用";
    quota_lanes "By lane", "按优先级";
    quota_allowed(calls, seconds) "{calls} in {seconds} s", "{seconds} 秒内 {calls} 次";
    quota_believed(believed, calls, seconds) "{believed} (of {calls}) in {seconds} s", "{seconds} 秒内 {believed} 次（声明 {calls} 次）";
    quota_silent(span) "silent for {span} more", "暂停，还有 {span}";
    quota_refused(count) "refused {count} times", "被拒绝 {count} 次";
    lane_interactive "interactive", "交互";
    lane_live "live", "实时";
    lane_repair "repair", "修复";
    lane_backfill "backfill", "回填";
    hours_minutes(hours, minutes) "{hours} h {minutes} min", "{hours} 小时 {minutes} 分钟";
    read_pace(pace) ", {pace} a minute", "，每分钟 {pace} 条";
    read_left(stream, records, total, pace, span) "{stream}: {records} of about {total} records{pace}. The rest takes {span} and delays nothing.", "{stream}：约 {total} 条中的 {records} 条{pace}。其余还需 {span}，不影响其他调用。";
    read_unknown(stream, records, pace) "{stream}: {records} records{pace}. How many there are is not known yet; it delays nothing.", "{stream}：{records} 条{pace}。总数尚不清楚；不影响其他调用。";

    // The frame.
    huiliu "Huiliu", "汇流";
    skip "Skip to the content", "跳到正文";
    navigation "Main", "主导航";
    connections "Connections", "连接";
    customers "Customers", "客户";
    reviews "Reviews", "待判断";
    conflicts "Conflicts", "冲突";
    dead_letters "Dead letters", "死信";
    other_language "中文", "English";
    logged_in_as "Logged in", "已登录";
    log_out "Log out", "退出";
    comma ", ", "、";
    colon ": ", "：";
    nothing "–", "—";
    yes "yes", "是";
    no "no", "否";

    // Time.
    ago(span) "{span} ago", "{span}前";
    seconds(count) "{count} s", "{count} 秒";
    minutes(count) "{count} min", "{count} 分钟";
    hours(count) "{count} h", "{count} 小时";
    days(count) "{count} days", "{count} 天";
    never "never", "从未";

    // In and out.
    log_in "Log in", "登录";
    name "Name", "用户名";
    password "Password", "密码";
    password_again "Password again", "再次输入密码";
    save "Save", "保存";
    no_account "No account, or the password is lost? Whoever runs the hub makes a link that works once:", "没有账号，或忘记密码？请管理员在服务器上生成一次性链接：";
    wrong_login "Name or password is wrong.", "用户名或密码不正确。";
    wait_before_login(seconds) "Too many wrong tries. Try again in {seconds} s.", "错误次数过多，请在 {seconds} 秒后重试。";
    new_account "New account", "新建账号";
    new_password "New password", "设置新密码";
    for_account(name) "For the account {name}.", "账号：{name}。";
    name_hint "Letters, digits and . _ - @; it is kept in lower case, and shown beside everything you decide.", "可用文字、数字和 . _ - @，英文统一为小写；您作出的每个决定都会记录此名。";
    password_hint(min) "At least {min} characters. A few words that nobody would put together are better than signs.", "至少 {min} 个字符。几个不相干的词连在一起，比特殊符号更安全。";
    no_name(max) "That is no name: letters, digits and . _ - @, at most {max}.", "用户名无效：只能用文字、数字和 . _ - @，最多 {max} 个字符。";
    taken_name "Somebody has this name already. Choose another one.", "该用户名已被使用，请换一个。";
    no_password(min, max) "The password must have {min} to {max} characters.", "密码长度须为 {min} 到 {max} 个字符。";
    not_twice "The two passwords differ. Type them again.", "两次输入的密码不一致，请重新输入。";
    invitation_over "This link was used already, or it is older than an hour. Make a new one on the server: huiliu console invite", "此链接已被使用，或已超过一小时。请在服务器上重新生成：huiliu console invite";
    said_welcome "The account is ready. Log in with it.", "账号已就绪，请登录。";

    // Why not.
    head_missing "There is no such page", "没有这个页面";
    head_no_session "You are not logged in", "您尚未登录";
    head_forbidden "That is not allowed", "不允许此操作";
    head_refused "That was not done", "操作未执行";
    head_broken "Something went wrong here", "系统出错了";
    missing "What the address names is not here: it may have been merged or removed, or the address has a mistake.", "地址所指的内容不存在：可能已合并或删除，也可能地址有误。";
    broken "The page could not be made. Nothing was changed. The log of the hub says why; try again in a moment.", "页面无法生成，没有任何改动。原因见汇流的日志；请稍后再试。";
    no_session "Your session is over, and nothing was done. Log in and do it again.", "会话已结束，操作未执行。请登录后重试。";
    foreign_form "This form did not come from a page of this console, and nothing was done. If a proxy stands before the console, set [console] address in huiliu.toml.", "该表单不是来自本控制台的页面，操作未执行。如果控制台前有代理，请在 huiliu.toml 的 [console] 中设置 address。";
    old_form "This form belongs to an older session, and nothing was done. Go back, load the page again, and send it once more.", "该表单属于旧的会话，操作未执行。请返回并刷新页面后重新提交。";
    large_form "The form is too large, and nothing was done.", "表单过大，操作未执行。";
    to_connections "To the connections", "前往连接";
    to_login "To the login", "前往登录";
    error_number "Status", "状态码";

    // Connections.
    last_day "The last 24 hours", "最近 24 小时";
    chart_in "Records in", "流入记录";
    chart_out "Deliveries done", "完成投递";
    chart_told(what, sum, most) "{what}: {sum} in the last 24 hours, at most {most} in ten minutes", "{what}：最近 24 小时共 {sum}，每十分钟最多 {most}";
    in_numbers "In numbers", "查看数字";
    hour_from "From", "起始时间";
    count "Count", "数量";
    in_inbox "in the inbox", "收件箱待处理";
    in_log(name) "groups of calls in the stream {name}", "流 {name} 中待读入的事件组";
    log_stopped "(stopped: `huiliu intake` says why)", "（已停止：运行 `huiliu intake` 查看原因）";
    oldest(span) "(the oldest since {span})", "（最早的已等 {span}）";
    to_plan "changes to plan", "变更待规划";
    to_fetch "to fetch", "待获取";
    reviews_wait "to decide", "条待判断";
    letters_wait "gave up", "条死信";
    pending_short "to deliver", "待投递";
    sending_short "being delivered", "投递中";
    no_connections "No connection yet. Connect a first system; it is only read until you let it go live:", "还没有连接。先接入一个系统；上线之前只读不写：";
    all_well "Nothing needs you.", "一切正常，无需处理。";
    some_need(count) "Need a look: {count}.", "{count} 个连接需要关注。";
    backlog "Waiting", "等待中";
    nothing_waits "nothing", "无";
    nodes "Processes that share the work", "共同工作的进程";
    node_does(holds) "does {holds}", "负责 {holds}";
    node_idle "lives, and has no work of its own", "在线，未负责具体工作";
    node_dead(last) "dead, last heard {last}", "已失联，最近心跳 {last}";
    node_more(place, roles, version, last) "at {place}; {roles}; version {version}; heard {last}", "位于 {place}；{roles}；版本 {version}；心跳 {last}";
    unit_meaning "processing", "处理";
    backlog_told(inbox, fetches, pending, sending) "{inbox} in, {fetches} to fetch, {pending} to deliver, {sending} on the way", "收件 {inbox}，待获取 {fetches}，待投递 {pending}，投递中 {sending}";
    state_observing "observing", "观察中";
    state_live "live", "已上线";
    state_paused "paused", "已暂停";
    health_unknown "It is not in huiliu.toml any more.", "huiliu.toml 中已没有该连接。";
    advice_unknown(name) "What it brought is kept. Put [connections.{name}] back to go on.", "已收到的数据仍保留。恢复 [connections.{name}] 即可继续。";
    health_paused "Paused: the system refused the credentials.", "已暂停：对方系统拒绝了凭证。";
    advice_paused(name) "Mend them with “huiliu connect {name}”, then resume.", "用 “huiliu connect {name}” 修复凭证，然后恢复。";
    health_paused_by(name) "Paused by {name}.", "由 {name} 暂停。";
    advice_paused_by "Nothing is read or written until it is resumed; what must be delivered waits.", "恢复之前不读不写；待投递的内容会保留。";
    health_stopped(stream, what) "The stream {stream} stopped. {what}", "数据流 {stream} 已停止。{what}";
    health_failing(stream, times, what) "The stream {stream} failed {times} time(s) in a row and is tried again. {what}", "数据流 {stream} 连续失败 {times} 次，将继续重试。{what}";
    health_files "A source of files.", "文件来源。";
    advice_files(name) "Bring one in with “huiliu import FILE --connection {name}”.", "用 “huiliu import FILE --connection {name}” 导入。";
    health_overdue(stream, late) "The stream {stream} should have been read {late} ago.", "数据流 {stream} 的拉取已超时 {late}。";
    advice_overdue "A pull may be taking long; if nothing moves, look into the log of “huiliu serve”.", "可能有一次拉取耗时较长；若一直没有变化，请查看 “huiliu serve” 的日志。";
    health_letters(count) "It works; {count} item(s) gave up and need a person.", "运行正常；{count} 项已放弃，需要人工处理。";
    advice_letters "The dead letters say why.", "原因见死信。";
    health_new "It waits for its first pull.", "等待首次拉取。";
    health_read_only "In step. It is only read: writes = false.", "同步正常。只读（writes = false）。";
    health_live "In step: read and written.", "同步正常：可读可写。";
    health_observing "It is read well; nothing is written to it.", "读取正常；不会写入。";
    advice_observing(name) "“huiliu go-live {name}” shows what would be written, then asks.", "“huiliu go-live {name}” 会先展示将写入的内容，再请您确认。";
    brake(missing, open, stream) "A complete scan of {stream} missed {missing} of {open} records and closed none.", "对 {stream} 的全量扫描少了 {open} 条中的 {missing} 条，未删除任何一条。";
    held_missing(held, of, stream) "In {stream} {held} of {of} records would be gone at once; they are held back, nothing was closed.", "{stream} 的 {of} 条记录中有 {held} 条同时被删除；已暂缓，未删除任何一条。";
    held_changing(held, of, stream) "In {stream} {held} of {of} records would change at once; they are held back, nothing was changed.", "{stream} 的 {of} 条记录中有 {held} 条同时变化；已暂缓，未改动任何一条。";
    advice_held(name, stream) "“huiliu review held {name} {stream}” shows them; “huiliu review release …” lets them in, “huiliu review dismiss …” forgets them.", "“huiliu review held {name} {stream}” 可查看；“huiliu review release …” 放行，“huiliu review dismiss …” 丢弃。";
    advice_brake(name, stream) "If they are really gone: “huiliu review release {name} {stream} --why …”.", "若确已删除：“huiliu review release {name} {stream} --why …”。";
    drift(findings, waiting) "The records changed their form: {findings} finding(s), {waiting} waiting.", "记录格式发生变化：{findings} 项，{waiting} 条等待。";
    advice_drift "“huiliu drift” says what changed and which line of the mapping to mend.", "“huiliu drift” 会说明变化以及要修正的映射行。";
    drift_stopped(stream) "The stream {stream} stopped: its records changed their form.", "数据流 {stream} 已停止：其记录的格式发生了变化。";
    error_transient "The system could not be reached or was busy.", "对方系统无法访问或繁忙。";
    advice_transient "It is tried again by itself, later each time.", "系统会自动重试，间隔逐次延长。";
    error_rate_limited "The system asks for fewer calls.", "对方系统要求降低调用频率。";
    advice_rate_limited "It goes on by itself when the wait is over.", "等待结束后自动继续。";
    error_unauthorized "The system refused the credentials.", "对方系统拒绝了凭证。";
    advice_unauthorized "Mend them with “huiliu connect”, then resume the connection.", "用 “huiliu connect” 修复凭证，然后恢复该连接。";
    error_rejected "The system refused the request.", "对方系统拒绝了请求。";
    advice_rejected "What it said stands below; mend it there or in the settings.", "对方的说明见下；请在对方系统或配置中修正。";
    error_cursor_expired "The system forgot where the last pull ended.", "对方系统已丢失上次拉取的位置。";
    advice_cursor_expired "The stream is read from the beginning by itself.", "该数据流会自动从头读取。";
    error_broken "The system does not speak as it was recorded.", "对方系统的应答与约定不符。";
    advice_broken "Compare what it said with its manifest; once mended, “huiliu sync” starts the stream again.", "请对照其清单文件检查应答；修正后用 “huiliu sync” 重新启动。";

    // A connection.
    connection "Connection", "连接";
    pause "Pause", "暂停";
    pause_hint "Nothing is read or written until somebody resumes it.", "恢复之前不读不写。";
    resume "Resume", "恢复";
    resume_hint "It returns to the state that it had before.", "回到暂停前的状态。";
    said_paused "The connection is paused.", "连接已暂停。";
    said_resumed "The connection goes on.", "连接已恢复。";
    no_connection "There is no such connection.", "没有该连接。";
    not_paused "The connection is not paused: somebody resumed it before.", "该连接未暂停：可能已有人恢复。";
    held_back "Held back", "暂缓";
    would_go "would be gone", "将被删除";
    held_more(name, stream) "There are more: “huiliu review held {name} {stream}”.", "还有更多：“huiliu review held {name} {stream}”。";
    release "Take it in", "放行";
    dismiss "Forget it", "丢弃";
    brake_hint "What is taken in travels like any other news; what is forgotten leaves the records as they were known.", "放行后按新内容处理；丢弃后记录保持原样。";
    no_choice "Say whether it is taken in or forgotten.", "请选择放行或丢弃。";
    no_brake "Nothing is held back there any more: somebody settled it before, or it was taken back.", "该处已无暂缓内容：可能已有人处理，或已自行恢复。";
    said_released(count) "Taken in: at most {count} record(s).", "已放行：最多涉及 {count} 条记录。";
    said_dismissed(count) "Forgotten: {count} record(s) stay as they were known.", "已丢弃：{count} 条记录保持原样。";
    changed_form "Changed form", "格式变化";
    drift_vanished(place) "{place} vanished from the records.", "记录中不再有 {place}。";
    drift_became(place, to) "{place} vanished from the records; did it become {to}?", "记录中不再有 {place}；是否改成了 {to}？";
    drift_items(place) "{place} has items in which the mapping finds nothing.", "{place} 中的条目，映射读不出任何内容。";
    drift_retyped(place, before, now) "{place} was {before} and is {now} now.", "{place} 原为 {before}，现为 {now}。";
    drift_value(place) "{place} shows a value that the mapping's table does not list.", "{place} 出现了映射表中没有的值。";
    drift_refused(place) "Writes are refused for the want of {place}, which nobody maps.", "写入被拒绝：缺少 {place}，而映射没有写这一项。";
    drift_waiting(count) "{count} waiting", "{count} 条等待";
    drift_mend(number) "Which line of the mapping to mend: “huiliu drift show {number}”.", "要修正的映射行：“huiliu drift show {number}”。";
    accept_form "Take the new form as it is", "接受新格式";
    finding_over "Somebody settled this before, or the mapping was mended.", "已由他人处理，或映射已修正。";
    said_accepted(count) "The new form is taken as it is; {count} waiting record(s) run again.", "已接受新格式；{count} 条等待的记录已重新处理。";
    streams "Streams", "数据流";
    stream "Stream", "数据流";
    records "Records", "记录数";
    last_pull "Last pull that worked", "上次成功拉取";
    next_pull "Next pull", "下次拉取";
    next_in(span) "in {span}", "{span}后";
    next_now "now", "现在";
    next_never "stopped", "已停止";
    completeness "Completeness", "完整性";
    compared "Compared", "已比对";
    identical "Identical", "一致";
    meter_note "Note", "说明";
    meter_differing(count) "{count} differ", "{count} 条不一致";
    meter_repairing(count) "{count} differ, repairing", "{count} 条不一致，修复中";
    meter_stuck(count) "{count} differ and need a person: “huiliu reconcile” names them", "{count} 条不一致，需要人工处理：“huiliu reconcile” 可列出";
    meter_suspected(count) "{count} being checked", "{count} 条核实中";
    meter_first "the first round is under way", "首轮比对进行中";
    meter_waits "the round waits: the system did not answer", "比对暂停：对方系统未应答";
    no_streams "Nothing was pulled yet.", "尚未拉取。";
    deliveries "Deliveries", "投递";
    filter "Filter", "筛选";
    all_states "all", "全部";
    no_deliveries "No deliveries of this kind.", "没有此类投递。";
    delivery_pending "waits", "待投递";
    delivery_sending "on the way", "投递中";
    delivery_done "done", "已完成";
    delivery_dead "gave up", "已放弃";
    delivery_dropped "overtaken", "已被取代";
    operation_create "create", "新建";
    operation_update "update", "更新";
    operation_delete "delete", "删除";
    delivery_number(number) "delivery {number}", "投递 {number}";
    golden_number(number) "No. {number}", "编号 {number}";
    attempts(count) "{count} attempts", "尝试 {count} 次";
    older "Older", "更早";
    newest "Newest", "最新";
    more "More", "更多";
    to_first "To the first", "回到开头";

    // Dead letters.
    letters_lead "Items that the hub gave up on. Mend what the reason says, then try them again: nothing is sent twice.", "汇流已放弃处理的项目。请按原因修正后重试：不会重复写入。";
    stage "Stage", "环节";
    every_connection "every connection", "全部连接";
    every_stage "every stage", "全部环节";
    stage_push "Delivery", "投递";
    advice_push "Mend the value in its source, or the rule in the other system; then retry.", "请在来源系统修正该值，或调整对方系统的规则，然后重试。";
    stage_process "Processing", "处理";
    advice_process "Mend the mapping or the sender, then retry: the item is processed again from what was kept.", "请修正映射或发送方，然后重试：将用保留的原始内容重新处理。";
    stage_fetch "Fetch", "获取";
    advice_fetch "See whether the record is there and may be read, then retry.", "请确认该记录存在且有读取权限，然后重试。";
    stage_automate "Automation", "自动化";
    advice_automate "Mend the rule or the record; `huiliu rules replay` does not send it again.", "请修正规则或记录；`huiliu rules replay` 不会重新发送。";
    stage_intake "Stream before the inbox", "收件箱之前的流";
    advice_intake "Mend who sends to the stream; what is pulled on a schedule comes again by itself.", "请修正向该流发送的程序；定时拉取的数据会自行补齐。";
    stage_import "Import", "导入";
    advice_import "Mend the row in the file and import the file again.", "请在文件中修正该行，然后重新导入。";
    letter_number(number) "No. {number}", "编号 {number}";
    no_letters "No dead letters: nothing needs a person.", "没有死信：无需人工处理。";
    no_letters_here "None with this filter.", "当前筛选下没有死信。";
    all_letters "Show all", "显示全部";
    retry "Retry", "重试";
    retry_number(number) "Retry {number}", "重试 {number}";
    retry_chosen "Retry the ticked ones", "重试勾选项";
    retry_all(most) "Retry all that match (at most {most})", "重试全部匹配项（最多 {most} 条）";
    tick_all "tick all on this page", "勾选本页全部";
    tick_number(number) "Choose {number}", "选择 {number}";
    none_chosen "Nothing was chosen. Tick the ones to retry, or use their own button.", "未选择任何项。请勾选要重试的项，或使用其重试按钮。";
    retried_already "These do not wait any more: somebody retried them before.", "所选项已不在等待：可能已有人重试。";
    said_retried(again, left) "{again} tried again; {left} must be mended elsewhere first.", "已重试 {again} 项；{left} 项需先在别处修正。";

    // Customers.
    search_label "Find a customer", "查找客户";
    search "Search", "搜索";
    search_hint "Number, e-mail, phone, tax id, CONNECTION/STREAM/ID, or the beginning of a name or of a part of it.", "编号、邮箱、手机号、统一社会信用代码、连接/数据流/记录号，或姓名、公司名（或其中一部分）的开头。";
    index_behind "Names are still being entered; somebody may be missing from this list for a moment.", "名称索引仍在更新，列表可能暂时不完整。";
    no_customers "No customers yet. Connect a system, or import a file:", "还没有客户。接入一个系统，或导入文件：";
    changed_last "Changed last", "最近变更";
    nobody_found "Nobody is known by that. Try fewer letters, or the e-mail address or phone number.", "没有找到。请减少字数，或改用邮箱、手机号搜索。";
    customer "Customer", "客户";
    order "Order", "订单";
    interaction "Interaction", "互动";
    deal "Deal", "商机";
    ticket "Ticket", "工单";
    product "Product", "产品";
    merged_into "It was found to be", "已并入";
    values "Values", "取值";
    no_values "No values: no linked record says anything.", "没有取值：没有任何来源记录提供内容。";
    field "Field", "字段";
    value_and_source "Value and source", "取值与来源";
    pinned_by(name) "fixed by {name}", "由 {name} 固定";
    lost_values(count) "{count} other value(s) lost", "另有 {count} 个未采用的值";
    rule_only "only source", "唯一来源";
    rule_pin "fixed by a person", "人工固定";
    rule_added "with what a rule added", "含规则添加的内容";
    rule_most_recent "most recent", "最新优先";
    rule_union "union of all", "合并全部";
    rule_longest "longest", "最长优先";
    rule_first "first known", "最早优先";
    rule_owns "owns the field", "对此字段有决定权";
    rule_most_frequent "said by most", "多数一致";
    rule_max "largest", "最大值";
    rule_min "smallest", "最小值";
    rule_prefer(whom) "{whom} is preferred", "优先采用 {whom}";
    linked_records "Linked records", "来源记录";
    no_records "No linked records.", "没有来源记录。";
    gone "gone", "已删除";
    because(reasons) "The same by {reasons}", "依据{reasons}判定为同一客户";
    timeline "Timeline", "往来记录";
    no_timeline "No orders, messages, deals or tickets yet.", "暂无订单、消息、商机或工单。";
    history "History", "变更历史";
    before "Before", "变更前";
    after "After", "变更后";
    changed_fields(count) "{count} field(s)", "{count} 个字段";
    cause_steward(name) "by {name}", "操作人 {name}";
    cause_rule(number) "rule, firing #{number}", "规则，第 #{number} 次触发";
    cause_inbox(position) "inbox {position}", "收件箱 {position}";
    change_create "created", "新建";
    change_update "updated", "更新";
    change_link "another record joined", "新增来源记录";
    change_merge "merged with another", "合并";
    change_merged "merged into another", "被并入其他主记录";
    change_split "split", "拆分";
    change_delete "a record of it is gone", "有来源记录被删除";
    change_pin "a value was fixed", "固定取值";
    change_tag "tagged by a rule", "规则添加标签";
    change_unpin "a fixed value was released", "取消固定";
    change_empty "lost its last record", "已无来源记录";

    // A record.
    never_seen "The hub has never seen this record.", "汇流从未收到该记录。";
    never_seen_advice(waiting) "{waiting} item(s) wait in the inbox. If the record exists in its system, look at the last pull of its stream.", "收件箱还有 {waiting} 条待处理。如果对方系统中确有此记录，请查看其数据流上次拉取的情况。";
    belongs_to "It belongs to", "归属于";
    belongs_to_nobody "It belongs to nobody yet.", "尚未归属任何客户。";
    arrivals "What arrived", "接收情况";
    no_arrivals "It was never read: the hub made it.", "从未读取：由汇流创建。";
    inbox_position(position) "inbox {position}", "收件箱 {position}";
    times(count) "{count} times, the last one:", "共 {count} 次，最近一次：";
    issue(field, at, message) "Could not be mapped: {field} at {at}: {message}", "无法映射：{field}（位置 {at}）：{message}";
    targets "What the others got", "写入其他系统的情况";
    no_targets "There is no other system to write to.", "没有可写入的其他系统。";
    nothing_sent "Nothing was sent:", "未写入：";
    silence_read_only "the configuration says writes = false.", "配置中写明 writes = false。";
    silence_observing(name) "it observes; “huiliu go-live {name}” lets it be written.", "该连接处于观察状态；“huiliu go-live {name}” 后才会写入。";
    silence_paused "it is paused.", "该连接已暂停。";
    silence_same "it holds these values already, or has no such record and may not create one.", "对方已有这些值，或没有对应记录且不允许新建。";
    outcome_created "New, nobody known: a golden record was made.", "新记录，未匹配到已知客户：新建主记录。";
    outcome_linked "New, recognised: linked to a golden record.", "新记录，已识别：关联到主记录。";
    outcome_changed "It said something new.", "内容有更新。";
    outcome_echo "Known already: a repeat, or our own write coming back.", "内容已知：重复，或我们写入后的回声。";
    outcome_stale "Older than what is known: ignored.", "版本早于已知内容：忽略。";
    outcome_overtaken "Read before what is known became known: read again.", "读取早于已知内容：重新读取。";
    outcome_told_gone "The system told that it is gone: read again to be sure.", "系统通知已删除：重新读取以确认。";
    outcome_told_back "It is known to be gone, and shown as it was: read again to be sure.", "已知删除，却以旧内容再次出现：重新读取以确认。";
    outcome_held "Too much would go or change at once: it is held back.", "短时间内删除或变化过多：已暂缓。";
    outcome_missing "A complete scan did not show it: read again to be sure.", "全量扫描未见：重新读取以确认。";
    outcome_deleted "The system says that it is gone: the link closed.", "系统称该记录已删除：关联关闭。";
    outcome_inherited "It takes the place of a record that was merged into it or handed over.", "接替了被合并或移交的记录。";
    outcome_review "New, perhaps somebody known: it waits for a person.", "新记录，可能是已知客户：等待人工判断。";
    outcome_parked "Its form changed: it waits until the mapping is mended.", "格式发生变化：等待修正映射。";
    outcome_unattached "Kept; it belongs to nobody yet.", "已保存；尚未归属任何客户。";

    // Reviews.
    reviews_lead "Records that may be somebody known. What you decide holds until somebody parts or links them.", "可能是已知客户的记录。您的决定一直有效，直到有人拆分或关联。";
    no_reviews "Nothing waits for a decision.", "没有等待判断的记录。";
    may_be "may be", "可能是";
    put_off "put off", "已推迟";
    review_title(number) "Review {number}", "判断 {number}";
    review_question "Is this somebody known?", "这是已知客户吗？";
    score(score) "score {score}", "得分 {score}";
    this_record "This record", "本记录";
    known_customer "Known customer", "已知客户";
    equal "equal", "相同";
    unequal "different", "不同";
    single "one side only", "仅一方";
    reasons "Reasons", "依据";
    same_as(name) "The same as {name}", "与 {name} 是同一个";
    different "None of them", "都不是";
    later "Later", "稍后";
    why_label "Why? (kept for those who ask later)", "理由（留给以后查阅的人）";
    no_verdict "Say same, different or later.", "请选择相同、不同或稍后。";
    settled_already "Somebody settled this review before, or what it asks about changed.", "该判断已由他人处理，或所涉内容已变化。";
    settled_same "It was decided: the same.", "已判定：相同。";
    settled_apart "It was decided: different.", "已判定：不同。";
    said_same(number) "Decided: the record belongs to No. {number}.", "已判定：该记录属于编号 {number}。";
    said_apart "Decided: different. They stay apart.", "已判定：不同，不会再合并。";
    conflicts_lead "What two systems said differently since they last agreed. A rule has settled each; nothing waits.", "两个系统自上次一致以来给出的不同值。均已按规则取值，无需等待。";
    no_conflicts "There is no open conflict.", "没有未处理的冲突。";
    conflict_title(number) "Conflict {number}", "冲突 {number}";
    conflict_decided(by) "Decided by {by}.", "已由 {by} 处理。";
    conflict_over "Somebody decided this conflict before, or it is over.", "该冲突已由他人处理，或已过去。";
    cleared "cleared", "已清空";
    keep_value "Keep this value", "保留此值";
    restore_value "Restore this value", "恢复此值";
    always_so "Always prefer this system", "以后始终优先该系统";
    said_stands(number) "Decided: the value of No. {number} stays.", "已判定：编号 {number} 的值保持不变。";
    said_pinned(number) "Restored: the value of No. {number} is fixed until somebody unpins it.", "已恢复：编号 {number} 的值已固定，直到有人取消。";
    said_later "Put off: it waits at the end of the list.", "已推迟：排到列表末尾。";
    said_many(done, left) "Settled: {done}. Left, because somebody settled them before or they have several candidates: {left}.", "已处理 {done} 条。因此前已处理或有多个候选而保留：{left} 条。";
    tick(number) "Tick review {number}", "勾选判断 {number}";
    all_ticked "All that are ticked:", "所有勾选的：";
    same_as_candidate "The same as the candidate", "与候选相同";
    until_label "Put off until (empty: until there is news)", "推迟到（留空：直到有新内容）";
    no_day "This is no day that is still to come.", "这不是将来的日子。";
    none_ticked "Tick at least one review.", "请至少勾选一条判断。";
    not_put_off "It was not put off: somebody settled it before, or the day is over.", "未能推迟：该判断已由他人处理，或日期已过。";
    comparison_companions(what) "{what} of its other records", "其他来源记录的{what}";
    comparison_name "name", "姓名";
    comparison_organization "organization", "组织名称";
    comparison_city "city", "城市";
    comparison_address "address", "地址";
    comparison_chance "chance among so many", "两条记录同属一人的机会";
    comparison_relatives "may be relatives or colleagues", "亲属或同事也可能如此";
    identity_unionid "union id", "unionid";
    identity_external_userid "WeCom contact", "企业微信外部联系人";
    identity_customer_number "customer number", "客户编号";
    level_same "same", "相同";
    level_similar "similar", "相近";
    level_partial "partly", "部分相同";
    level_rare "rare", "很小";
    level_shared "in common", "共有";
    level_conflict "contradicts", "矛盾";
    level_strong "equal, proves much", "相同，证明力强";
    level_medium "equal, proves a little", "相同，证明力中等";
}

mod fields;
#[cfg(test)]
mod tests;

//! What fields are called, and the values of which there are few.

use std::fmt::Display;

use crate::language::Language;

texts! {
    // Fields.
    labelled(name, label) "{name} ({label})", "{name}（{label}）";
    label_main "main", "主要";
    label_work "work", "工作";
    label_home "home", "家庭";
    label_mobile "mobile", "手机";
    label_sms "text messages", "短信";
    label_email "e-mail", "邮件";
    field_custom "Own field", "自定义";
    field_kind "Kind", "类型";
    field_display_name "Name", "名称";
    field_given_name "Given name", "名";
    field_family_name "Family name", "姓";
    field_legal_name "Legal name", "法定名称";
    field_short_name "Short name", "简称";
    field_emails "E-mail", "邮箱";
    field_phones "Phone", "电话";
    field_addresses "Address", "地址";
    field_company "Company", "公司";
    field_title "Title", "职位";
    field_birth_date "Birth date", "生日";
    field_gender "Gender", "性别";
    field_tags "Tags", "标签";
    field_owner "Owner", "负责人";
    field_lifecycle "Lifecycle", "生命周期";
    field_remark "Remark", "备注";
    field_consent "Consent", "授权";
    field_external_ids "External id", "外部标识";
    field_tax_id "Tax id", "统一社会信用代码";
    field_website "Website", "网站";
    field_language "Language", "语言";
    field_number "Number", "编号";
    field_status "Status", "状态";
    field_ordered_at "Ordered", "下单时间";
    field_total "Total", "总额";
    field_lines "Lines", "明细";
    field_direction "Direction", "方向";
    field_subject "Subject", "主题";
    field_body "Text", "正文";
    field_thread "Thread", "会话";
    field_occurred_at "Time", "时间";
    field_participants "Participants", "参与者";
    field_stage "Stage", "阶段";
    field_amount "Amount", "金额";
    field_priority "Priority", "优先级";

    // Values of closed lists.
    value_person "person", "个人";
    value_organization "organization", "组织";
    value_female "female", "女";
    value_male "male", "男";
    value_other "other", "其他";
    value_lead "lead", "线索";
    value_prospect "prospect", "潜在客户";
    value_customer "customer", "客户";
    value_former "former customer", "流失客户";
    value_subscribed "agreed", "已同意";
    value_pending "asked", "待确认";
    value_unsubscribed "refused", "已拒绝";
    value_unknown "unknown", "未知";
    value_message "message", "消息";
    value_email "e-mail", "邮件";
    value_call "call", "通话";
    value_meeting "meeting", "会议";
    value_form "form", "表单";
    value_visit "visit", "拜访";
    value_in "from the customer", "客户发来";
    value_out "to the customer", "发给客户";
    value_low "low", "低";
    value_normal "normal", "普通";
    value_high "high", "高";
    value_urgent "urgent", "紧急";
}

//! More than a page.

use lbmanager::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{backend, id, member, members, settings};

#[tokio::test]
async fn pages_are_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let elb = backend(settings(&url));
    let (first, second) = (id("first"), id("second"));
    let asked = async {
        let (first, second) = tokio::join!(elb.describe(&first), elb.describe(&second));
        assert_eq!(first.unwrap().registered, members([1]));
        assert_eq!(second.unwrap().registered, members([2]));
    };
    let answered = async {
        let request = answer(&listener, &page("first", 1, Some("more"))).await;
        assert!(
            request.contains("PageSize=400") && !request.contains("Marker"),
            "{request}"
        );
        let request = answer(&listener, &page("second", 2, None)).await;
        assert!(request.contains("Marker=more"), "{request}");
    };
    tokio::join!(asked, answered);
}

fn page(name: &str, instance: usize, marker: Option<&str>) -> String {
    let marker = marker.map(|marker| format!("<NextMarker>{marker}</NextMarker>"));
    format!(
        "<DescribeLoadBalancersResponse \
         xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/\">\
         <DescribeLoadBalancersResult><LoadBalancerDescriptions><member>\
         <LoadBalancerName>{name}</LoadBalancerName><Instances><member>\
         <InstanceId>{}</InstanceId></member></Instances></member>\
         </LoadBalancerDescriptions>{}</DescribeLoadBalancersResult>\
         </DescribeLoadBalancersResponse>",
        member(instance),
        marker.unwrap_or_default()
    )
}

/// Answers one request with this page, and gives the request.
async fn answer(listener: &TcpListener, page: &str) -> String {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = String::new();
    while !is_whole(&request) {
        let mut part = [0; 4096];
        let read = connection.read(&mut part).await.unwrap();
        request.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        page.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(page.as_bytes()).await.unwrap();
    request
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length.is_some_and(|length| length.trim().parse() == Ok(body.len()))
}
